"""``python -m tests.processes.publisher``: a process that only publishes."""

import time

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.processes.site import set_up

set_up()

from sync_streams import operations  # noqa: E402
from sync_streams.delivery.cluster import stats  # noqa: E402
from sync_streams.delivery.hub import is_receiving  # noqa: E402
from sync_streams.errors import SyncError  # noqa: E402
from sync_streams.publishing import publish  # noqa: E402
from tests.settings import ACCOUNT_SID  # noqa: E402


def queries() -> int:
    """Return how many database queries a publish needs."""
    with CaptureQueriesContext(connection) as asked:
        publish("orders", {"n": 1})
    return len(asked)


print("first:", queries())
print("receiving:", is_receiving())
print("second:", queries())
ends = time.monotonic() + 20
while not is_receiving() and time.monotonic() < ends:
    time.sleep(0.01)
print("third:", queries())
print("fourth:", queries())
told = stats.ask([]).processes.values()
print("serving:", [one["serving"] for one in told])
service = operations.get_service(ACCOUNT_SID, "default")
operations.remove_stream(service, "orders")
try:
    publish("orders", {"n": 1})
except SyncError as error:
    print("removed:", error.code)
