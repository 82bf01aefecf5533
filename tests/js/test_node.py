"""The client in Node, with `ws` and with Node's own WebSocket, on a real server."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sync_streams.errors import TokenExpired
from tests.clients.rest import call, publish
from tests.conftest import StartSite
from tests.documents import ROOT
from tests.js.tools import (
    FOLDER,
    PATIENCE_SECONDS,
    bundled_node,
    modules,
    run,
    system_node,
)
from tests.programs import DemoSite, free_port
from tests.sse.test_proxies import nginx

SOCKET = "/v1/websocket"
ORDERS = "/default/Streams/orders"


class Client:
    """A client in a Node process, which gets tokens from the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.give_token: Callable[[], str] = lambda: ""
        self.events: list[dict[str, Any]] = []

    async def tell(self, action: str, **fields: object) -> None:
        """Send the client a command."""
        assert self.process.stdin is not None
        line = json.dumps({"action": action, **fields})
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def event(self, event: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the next event of a type; supply tokens until then."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == "token":
                    await self.tell("token", value=self.give_token())
                if self.events[-1]["event"] == event:
                    return self.events[-1]
        pytest.fail(f"Node ended before {event!r}; it told {self.events}")

    def count(self, event: str) -> int:
        """Return how many events of a type came."""
        return sum(each["event"] == event for each in self.events)

    async def subscribe(self) -> None:
        """Subscribe to the Stream of orders, which is created if there is none."""
        await self.tell("subscribe", ref="orders", mode="open_or_create")
        await self.event("subscribed")

    async def ends(self) -> int:
        """Close the client; return the exit code of Node, with nothing left to do."""
        await self.tell("close")
        await self.event("closed")
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


StartClient = Callable[[str, Callable[[], str]], Awaitable[Client]]


@pytest.fixture(params=["ws", "own WebSocket"])
async def start(
    request: pytest.FixtureRequest, package: Path
) -> AsyncIterator[StartClient]:
    """Start a client, ``start(url, give_token)``: Node 20 with ws, and a newer one."""
    clients: list[Client] = []
    uses_ws = request.param == "ws"
    ws = [str(modules() / "ws/wrapper.mjs")] if uses_ws else []
    node = system_node() if uses_ws else bundled_node()

    async def start_one(url: str, give_token: Callable[[], str]) -> Client:
        process = await asyncio.create_subprocess_exec(
            node,
            str(FOLDER / "driver.mjs"),
            str(package / "sync-streams.js"),
            url,
            *ws,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        clients.append(Client(process))
        clients[-1].give_token = give_token
        return clients[-1]

    yield start_one
    for client in clients:
        if client.process.returncode is None:
            client.process.kill()
        await client.process.wait()


async def start_at(start: StartClient, site: DemoSite) -> Client:
    """Start a client that connects to a site, with alice's tokens."""
    return await start(f"{site.base_url}{SOCKET}", site.account.token)


async def test_it_subscribes_publishes_and_leaves_nothing_behind(
    start: StartClient, embedded: DemoSite
) -> None:
    client = await start_at(start, embedded)
    await client.subscribe()

    await client.tell("publish", ref="orders", data={"id": 1})

    assert (await client.event("message"))["data"] == {"id": 1}
    assert await client.ends() == 0


async def test_a_server_that_is_killed_and_returns_costs_a_gap(
    start: StartClient, start_site: StartSite
) -> None:
    site = start_site()
    client = await start_at(start, site)
    await client.subscribe()

    site.stop(signal.SIGKILL)
    await client.event("reconnecting")
    await client.event("reconnecting")
    await asyncio.to_thread(site.start)

    assert (await client.event("gap"))["dropped"] is None
    publish(site, "orders", {"id": 2})
    assert (await client.event("message"))["data"] == {"id": 2}
    assert client.count("error") == 0, "the states tell of it"


async def test_an_expired_token_is_requested_again_once(
    start: StartClient, embedded: DemoSite
) -> None:
    tokens = iter([embedded.account.token(ttl=-60), embedded.account.token()])
    client = await start(f"{embedded.base_url}{SOCKET}", lambda: next(tokens))

    await client.event("connected")

    refusals = [
        each.get("refusal") for each in client.events if each["event"] == "token"
    ]
    assert refusals == [None, TokenExpired.code]


async def test_two_expired_tokens_close_the_client_with_the_servers_reason(
    start: StartClient, embedded: DemoSite
) -> None:
    lapsed = embedded.account.token(ttl=-60)
    client = await start(f"{embedded.base_url}{SOCKET}", lambda: lapsed)

    assert (await client.event("closed"))["reason"] == "token invalid"

    assert await client.event("error") == {
        "event": "error",
        "message": TokenExpired.message,
        "code": TokenExpired.code,
        "status": 401,
        "temporary": False,
    }
    assert client.count("token") == 2


async def test_a_token_from_a_clock_that_is_ahead_is_refused_with_that_reason(
    start: StartClient, embedded: DemoSite
) -> None:
    early = embedded.account.token(nbf=int(time.time()) + 600)
    client = await start(f"{embedded.base_url}{SOCKET}", lambda: early)

    assert (await client.event("closed"))["reason"] == "token invalid"

    told = await client.event("error")
    assert (told["message"], told["code"]) == ("Access Token not yet valid", 20105)
    guide = (ROOT / "docs/browser-client.md").read_text()
    assert f"| `{told['message']}` |" in guide


async def test_a_token_that_ends_while_connected_is_renewed(
    start: StartClient, embedded: DemoSite
) -> None:
    lives = iter([4, 4])  # from the moment at which the client asks for a token
    client = await start(
        f"{embedded.base_url}{SOCKET}",
        lambda: embedded.account.token(ttl=next(lives, 3600)),
    )
    await client.subscribe()

    while client.count("token") < 3:
        await client.event("token")

    await client.tell("publish", ref="orders", data={"id": 3})
    await client.event("published")
    assert client.count("closed") == 0


async def test_a_removed_stream_is_announced(
    start: StartClient, start_site: StartSite
) -> None:
    site = start_site()
    client = await start_at(start, site)
    await client.subscribe()

    call(site, "DELETE", ORDERS)

    await client.event("removed")


async def test_a_refused_connection_is_reported_once_and_ends_no_process(
    start: StartClient,
) -> None:
    client = await start(f"http://127.0.0.1:{free_port()}{SOCKET}", lambda: "token")

    for _ in range(3):
        await client.event("reconnecting")

    assert client.count("error") == 1
    [error] = [each for each in client.events if each["event"] == "error"]
    assert error["message"].startswith("Cannot connect to ws://127.0.0.1:")
    assert error["temporary"]
    assert await client.ends() == 0


async def test_a_wrong_path_is_reported_once(
    start: StartClient, embedded: DemoSite
) -> None:
    client = await start(f"{embedded.base_url}/elsewhere", lambda: "token")

    for _ in range(3):
        await client.event("reconnecting")

    assert client.count("error") == 1


async def test_a_proxy_without_upgrade_is_reported_once(
    start: StartClient, embedded: DemoSite, tmp_path: Path
) -> None:
    upstream = int(embedded.base_url.rpartition(":")[2])
    conf = {"listen": "", "location": "proxy_http_version 1.1;"}
    async with nginx(tmp_path, upstream, **conf) as port:
        address = f"ws://127.0.0.1:{port}{SOCKET}"
        client = await start(address, lambda: "")
        told = (await client.event("error"))["message"]
        await client.event("reconnecting")
        await client.event("reconnecting")

    assert told.startswith(f"Cannot connect to {address}: ")
    assert client.count("error") == 1


async def test_publishes_without_a_connection_are_refused_in_time(
    start: StartClient, start_site: StartSite
) -> None:
    site = start_site()
    client = await start_at(start, site)
    await client.event("connected")
    site.stop(signal.SIGKILL)
    await client.event("reconnecting")

    await client.tell("publish", ref="orders", data={}, timeout=500)

    refusal = await client.event("refused")
    assert (refusal["message"], refusal["status"]) == ("No answer in time", 0)


def test_a_node_without_websocket_gets_advice(package: Path, tmp_path: Path) -> None:
    script = f"""
      delete globalThis.WebSocket;
      const {{ SyncStreams }} = await import("{package}/sync-streams.js");
      try {{ new SyncStreams({{ url: "http://127.0.0.1/", token: "x" }}); }}
      catch (error) {{ console.log(error.message); }}
    """
    (tmp_path / "script.mjs").write_text(script)

    said = run(bundled_node(), str(tmp_path / "script.mjs"), cwd=tmp_path)

    assert said.startswith("No WebSocket here: pass one")
