"""Fixtures of the SDK's conformance tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.compat.twilio_sync.rig import VERSIONS, Rig
from tests.compat.twilio_sync.sdk import run_sdk
from tests.compat.twilio_sync.wire import Wire
from tests.programs import DemoSite

SETTINGS = "tests.compat.twilio_sync"


@pytest.fixture
def package() -> str:
    """Name under which npm installed the version of the SDK."""
    return VERSIONS[0]


@pytest.fixture
def site(embedded: DemoSite) -> DemoSite:
    """The server; a test that needs another one overrides this."""
    return embedded


@pytest.fixture
async def rig(site: DemoSite, package: str) -> AsyncIterator[Rig]:
    """SDKs on a recorded wire, whose frames are audited in the end."""
    async with run_rig(site, package) as rig:
        yield rig


@pytest.fixture
async def rigs(site: DemoSite) -> AsyncIterator[list[Rig]]:
    """A rig with each version of the SDK."""
    async with AsyncExitStack() as stack:
        running = (run_rig(site, package) for package in VERSIONS)
        yield [await stack.enter_async_context(rig) for rig in running]


@asynccontextmanager
async def run_rig(site: DemoSite, package: str) -> AsyncIterator[Rig]:
    wire = Wire(f"{site.websocket_url}/v3/wsconnect")
    async with wire.run(), run_sdk(package) as sdk:
        yield Rig(site, wire, sdk)
    wire.audit()


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A server with time limits of a second or two."""
    settings = f"{SETTINGS}.impatient"
    folder = tmp_path_factory.mktemp("site")
    with DemoSite(folder, DJANGO_SETTINGS_MODULE=settings) as site:
        yield site


@pytest.fixture
def herd(start_site: Callable[..., DemoSite]) -> DemoSite:
    """A server for which three connections are a mass reconnect."""
    return start_site(DJANGO_SETTINGS_MODULE=f"{SETTINGS}.herd")


@pytest.fixture
def busy(start_site: Callable[..., DemoSite]) -> DemoSite:
    """A server that takes one connection at a time."""
    return start_site(DJANGO_SETTINGS_MODULE=f"{SETTINGS}.busy")
