"""Fixtures of the REST tests: clients of two accounts, a Service and a Stream."""

import pytest

from sync_streams import operations
from sync_streams.cache import lookups
from sync_streams.models import Service, Stream
from tests import settings as site
from tests.rest.api import Api


@pytest.fixture(autouse=True)
def _nothing_looked_up() -> None:
    # The default Service of an earlier test no longer exists in the database.
    lookups.forget_all()


@pytest.fixture
def api(db: None) -> Api:
    """A client with the first account's SID and auth token."""
    return Api(site.ACCOUNT_SID, site.AUTH_TOKEN)


@pytest.fixture
def other_api(db: None) -> Api:
    """A client of the other account."""
    return Api(site.OTHER_ACCOUNT_SID, site.OTHER_AUTH_TOKEN)


@pytest.fixture
def service(db: None) -> Service:
    return operations.create_service(site.ACCOUNT_SID)


@pytest.fixture
def stream(service: Service) -> Stream:
    return operations.create_stream(service, unique_name="news")


@pytest.fixture
def streams_path(service: Service) -> str:
    return f"/v1/Services/{service.sid}/Streams"


@pytest.fixture
def messages_path(stream: Stream) -> str:
    return f"/v1/Services/{stream.service_id}/Streams/{stream.sid}/Messages"
