"""Every transport to the default Service, and a subscriber at its end."""

from collections.abc import AsyncIterator

import pytest

from sync_streams import operations
from sync_streams.models import Service
from tests.clients.json_socket import LocalSocket
from tests.contract.transports import (
    MANAGING_TRANSPORTS,
    TRANSPORTS,
    Transport,
    open_transport,
)
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID
from tests.streams import uncached_stream


@pytest.fixture
def service(transactional_db: None) -> Service:
    return operations.get_service(ACCOUNT_SID, "default")


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Service]:
    """The default Service with the Stream ``news``, whose rate is never reached."""
    async with uncached_stream() as stream:
        with sync_settings(publish_rate=1_000_000):
            yield stream.service


@pytest.fixture(params=TRANSPORTS)
async def transport(
    request: pytest.FixtureRequest, service: Service
) -> AsyncIterator[Transport]:
    """Each transport that publishes."""
    async with open_transport(request.param, service) as transport:
        yield transport


@pytest.fixture(params=MANAGING_TRANSPORTS)
async def managing(
    request: pytest.FixtureRequest, service: Service
) -> AsyncIterator[Transport]:
    """Each transport that changes and removes Streams, too."""
    async with open_transport(request.param, service) as managing:
        yield managing


@pytest.fixture
async def subscriber(service: Service) -> AsyncIterator[LocalSocket]:
    """A connection to the JSON socket, not subscribed to anything yet."""
    async with LocalSocket("subscriber") as socket:
        yield socket
