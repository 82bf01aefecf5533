"""Publishing needs no queries while the process receives change notices."""

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sync_streams.delivery.hub import get_hub
from tests import settings as site
from tests.rest.api import Api, failure, read

pytestmark = pytest.mark.django_db(transaction=True)

STREAMS = "/v1/Services/default/Streams"
MESSAGES = f"{STREAMS}/news/Messages"


async def _with_sockets(check: Callable[[Api], None]) -> None:
    """Run *check* in a process that holds sockets."""
    await get_hub().start()
    await sync_to_async(check)(Api(site.ACCOUNT_SID, site.AUTH_TOKEN))


async def test_second_publish_takes_no_query() -> None:
    def check(api: Api) -> None:
        api.post(STREAMS, UniqueName="news")
        api.publish(MESSAGES, {})
        with CaptureQueriesContext(connection) as queries:
            assert api.publish(MESSAGES, {}).status_code == 201
        assert len(queries) == 0

    await _with_sockets(check)


async def test_removed_stream_takes_no_message_any_more() -> None:
    def check(api: Api) -> None:
        api.post(STREAMS, UniqueName="news")
        api.publish(MESSAGES, {})
        api.delete(f"{STREAMS}/news")
        assert failure(api.publish(MESSAGES, {}))[:2] == (404, 20404)

    await _with_sockets(check)


async def test_service_that_takes_the_place_of_a_removed_one_takes_messages() -> None:
    def check(api: Api) -> None:
        first = read(api.post(STREAMS, UniqueName="news"))
        api.publish(MESSAGES, {})
        api.delete("/v1/Services/default")
        assert failure(api.publish(MESSAGES, {}))[:2] == (404, 20404)
        second = read(api.post(STREAMS, UniqueName="news"))
        assert api.publish(MESSAGES, {}).status_code == 201
        assert first["service_sid"] != second["service_sid"]

    await _with_sockets(check)


async def test_service_is_looked_up_for_its_own_account_only() -> None:
    def check(api: Api) -> None:
        stream = read(api.post(STREAMS, UniqueName="news"))
        path = f"/v1/Services/{stream['service_sid']}/Streams/{stream['sid']}/Messages"
        other = Api(site.OTHER_ACCOUNT_SID, site.OTHER_AUTH_TOKEN)
        assert api.publish(path, {}).status_code == 201
        assert failure(other.publish(path, {}))[:2] == (404, 20404)

    await _with_sockets(check)
