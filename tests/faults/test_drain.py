"""A process that drains: no client is cut off, and none delays it."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from sync_streams.connections.close_codes import CloseCode
from tests.clients.json_socket import Frame, SiteSocket
from tests.clients.rest import LocalSite
from tests.clients.wires import Closed
from tests.conftest import StartSite
from tests.faults.conftest import Figures, StartWorker
from tests.faults.twilsock import Session
from tests.faults.worker import ACCOUNT, Worker
from tests.programs import DemoSite
from tests.proxy import Proxy

CLIENTS = 30
"""Of each protocol."""
DRAIN_SECONDS = 2
BOUND_SECONDS = 10
"""Maximum time of a stop: the window, 2 s for the last client, and a slow machine."""

Start = Callable[[], Worker | DemoSite]


@pytest.fixture(params=["daphne", "uvicorn"])
def start(
    request: pytest.FixtureRequest, start_site: StartSite, start_worker: StartWorker
) -> Start:
    """Start one process of the demo site under either server."""
    if request.param == "daphne":
        environ = {**ACCOUNT.environ, "DRAIN_SECONDS": str(DRAIN_SECONDS)}
        return lambda: start_site(**environ)
    settings = json.dumps({"DRAIN_SECONDS": DRAIN_SECONDS})
    return lambda: start_worker(FAULT_SETTINGS=settings)


class Listener(SiteSocket):
    """A client of the JSON socket that reads to the end."""

    last: Frame
    """The last frame."""

    async def until_closed(self) -> tuple[float, int]:
        """Wait for the end; return when it came, and its close code."""
        try:
            while True:
                self.last = await self.receive()
        except Closed as end:
            return time.monotonic(), end.code


async def is_refused(base_url: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", int(base_url.rpartition(":")[2])
        )
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def check_words(listeners: list[Listener], sessions: list[Session]) -> list[float]:
    """Check each client's notices; return when the clients are to reconnect."""
    assert {one.last["type"] for one in listeners} == {"closing"}
    pauses = sorted(one.last["reconnect_after"] for one in listeners)
    # At once: the load is spread by closing them at different moments.
    assert set(pauses) == {0}
    # Without a notice, so that an SDK returns soonest.
    assert [session.told for session in sessions] == [[]] * CLIENTS
    return pauses


async def test_all_connections_are_closed_in_time(
    request: pytest.FixtureRequest, start: Start, figures: Figures
) -> None:
    server = await asyncio.to_thread(start)
    url = server.base_url
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        gate = await enter(Proxy(int(url.rpartition(":")[2])))
        await enter(Listener(LocalSite(gate.port, server.account)))
        stack.callback(gate.close)
        gate.is_silent = True  # one client has vanished and never answers
        listeners = [await enter(Listener(server)) for _ in range(CLIENTS)]
        sessions = [await enter(Session(url)) for _ in range(CLIENTS)]

        began = time.monotonic()
        stop = asyncio.create_task(asyncio.to_thread(server.stop, signal.SIGTERM))
        ends = [asyncio.create_task(one.until_closed()) for one in listeners]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert await is_refused(url)
        closes = sorted(await asyncio.gather(*ends))
        codes = [await session.until_closed() for session in sessions]
        await stop
        took = time.monotonic() - began

    assert took < BOUND_SECONDS
    assert {*codes, *(code for _, code in closes)} == {CloseCode.GOING_AWAY}
    pauses = check_words(listeners, sessions)
    first, last = closes[0][0] - began, closes[-1][0] - began
    assert last - first > DRAIN_SECONDS / 4
    figures(
        f"SIGTERM, {request.node.callspec.id}, {2 * CLIENTS} sockets",
        again_after=f"told to reconnect after {pauses[-1]} s",
        sockets_lost="0, all closed by the server",
        closes=f"{first:.1f} to {last:.1f} s after it",
        ended_after=f"{took:.1f} s, one client silent (window {DRAIN_SECONDS} s)",
    )
