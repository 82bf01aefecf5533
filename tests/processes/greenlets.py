"""``python -m tests.processes.greenlets gevent``: a worker that publishes."""

# ruff: noqa: E402 - what is patched is patched before anything else is imported
import sys

if sys.argv[1] == "gevent":
    from gevent import monkey, sleep, spawn

    monkey.patch_all()
else:
    import eventlet
    from eventlet import sleep, spawn

    eventlet.monkey_patch()

import os
import time
from collections.abc import Callable

from tests.processes.site import set_up

set_up()

from sync_streams import operations
from sync_streams.models import Stream
from sync_streams.publishing import publish
from sync_streams.webhooks import sender
from tests.settings import ACCOUNT_SID

PUBLISHERS = 20


def main() -> None:
    """Do what a worker does, and print the result."""
    service = operations.get_service(ACCOUNT_SID, "default")
    operations.update_service(
        service, webhook_url=os.environ["HOOK"], webhooks_from_rest_enabled=True
    )
    publish("orders", {"n": 0})
    say("streams", Stream.objects.count())

    done: list[int] = []
    for number in range(PUBLISHERS):
        spawn(publish_one, number, done)
    until(lambda: len(done) == PUBLISHERS)
    say("published", len(done))

    operations.create_stream(service, unique_name="tea")
    say("flushed", sender.flush(10))
    say("streams", Stream.objects.count())

    ticks: list[float] = []
    spawn(tick, ticks)
    operations.try_webhook(service)
    say("others went on", len(ticks) > 10)
    publish("orders", {"n": 1})
    say("streams", Stream.objects.count())


def publish_one(number: int, done: list[int]) -> None:
    """Publish, and record that it is done."""
    publish("orders", {"n": number})
    done.append(number)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something while the others continue."""
    ends = time.monotonic() + 20
    while not is_so() and time.monotonic() < ends:
        sleep(0.01)


def tick(ticks: list[float]) -> None:
    """Count forever."""
    while True:
        ticks.append(time.monotonic())
        sleep(0.01)


def say(what: str, value: object) -> None:
    """Print a result."""
    print(f"{what}: {value}", flush=True)


main()
