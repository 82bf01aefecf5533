"""Every road to the default Service, and a subscriber at its end."""

from collections.abc import AsyncIterator

import pytest

from sync_streams import operations
from sync_streams.models import Service
from tests.contract.roads import MANAGING_ROADS, ROADS, Road, open_road
from tests.settings import ACCOUNT_SID
from tests.websocket.client import Socket


@pytest.fixture
def service(transactional_db: None) -> Service:
    return operations.get_service(ACCOUNT_SID, "default")


@pytest.fixture(params=ROADS)
async def road(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Road]:
    """Each road that publishes."""
    async with open_road(request.param, service) as road:
        yield road


@pytest.fixture(params=MANAGING_ROADS)
async def managing(
    request: pytest.FixtureRequest, service: Service
) -> AsyncIterator[Road]:
    """Each road that changes and removes Streams, too."""
    async with open_road(request.param, service) as road:
        yield road


@pytest.fixture
async def subscriber(service: Service) -> AsyncIterator[Socket]:
    """A connection to the JSON socket, not subscribed to anything yet."""
    async with Socket("subscriber") as socket:
        yield socket
