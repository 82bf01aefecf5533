"""An unmodified ``twilio-sync`` package under Node, driven from asyncio tests."""

import asyncio
import json
import re
import shutil
from asyncio import StreamReader
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self, TypeVar

from tests.compat.twilio_sync.node import HERE, Node, give_back, take
from tests.compat.twilio_sync.wire import wait_until
from tests.documents import code_block
from tests.programs import cannot_have

PACKAGES = HERE.parent / "node_modules"
WAIT_SECONDS = 30
END_SECONDS = 2
"""Time for clients to shut down; a process that takes longer is not reused."""

Event = tuple[str, Any]
Found = TypeVar("Found")


def documented_retry_policy() -> Any:
    """Return the pauses of a reconnecting SDK that the documentation recommends."""
    code = code_block("docs/migrating-from-twilio.md", "js", "retryPolicy")
    found = re.search(r"retryPolicy: (\{.*?\})", code)
    assert found is not None
    return json.loads(re.sub(r"(\w+):", r'"\1":', found[1]))


class SdkError(Exception):
    """What a promise of the SDK rejected with."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.name = error["name"]
        self.status = error.get("status")
        self.code = error.get("code")


class Emitter:
    """Events that one object of the SDK has emitted, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.listeners: list[Callable[[str, Any], None]] = []
        """Called with each event and its arguments."""
        self._news = asyncio.Event()

    def emitted(self, name: str) -> list[Any]:
        """Return the arguments of every event of that name so far."""
        return [args for event, args in self.events if event == name]

    async def wait(self, name: str, times: int = 1) -> list[Any]:
        """Wait until the event came so many times, and return their arguments."""
        await self.wait_until(lambda: len(self.emitted(name)) >= times)
        return self.emitted(name)

    async def wait_until(self, find: Callable[[], Found]) -> Found:
        """Wait until *find* has something to return."""
        return await wait_until(find, self._news, lambda: self.events)

    def take(self, name: str, args: Any) -> None:
        self.events.append((name, args))
        for listener in self.listeners:
            listener(name, args)
        self._news.set()


class SdkStream(Emitter):
    """A ``SyncStream``."""

    def __init__(self, sdk: "Sdk", handle: str) -> None:
        super().__init__()
        self._sdk = sdk
        self._handle = handle
        self.sid = ""
        self.unique_name: str | None = None
        self.date_expires: str | None = None

    def describe(self, stream: dict[str, Any]) -> Self:
        self.sid = stream["sid"]
        self.unique_name = stream["uniqueName"]
        self.date_expires = stream["dateExpires"]
        return self

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.emitted("messagePublished")

    async def message(self, sid: str) -> dict[str, Any]:
        """Wait for the Message of that SID."""
        [message] = await self.wait_until(
            lambda: [found for found in self.messages if found["sid"] == sid]
        )
        return message

    async def publish(self, data: Any) -> str:
        """Publish and return the Message's SID."""
        message = await self._call("publish", data=data)
        assert message["data"] == data
        return str(message["sid"])

    async def set_ttl(self, ttl: int) -> Self:
        return self.describe(await self._call("setTtl", ttl=ttl))

    async def remove(self) -> None:
        await self._call("remove")

    async def close(self) -> None:
        await self._call("close")

    async def _call(self, command: str, **args: Any) -> Any:
        return await self._sdk.call(command, stream=self._handle, **args)


class SdkClient(Emitter):
    """A ``SyncClient``."""

    def __init__(self, sdk: "Sdk", handle: str) -> None:
        super().__init__()
        self._sdk = sdk
        self._handle = handle

    @property
    def states(self) -> list[str]:
        return self.emitted("connectionStateChanged")

    async def state(self, name: str, times: int = 1) -> None:
        """Wait until the connection was in that state so many times."""
        await self.wait_until(lambda: self.states.count(name) >= times)

    async def stream(self, options: Any = None) -> SdkStream:
        handle = self._sdk.new_handle()
        stream = self._sdk.streams[handle] = SdkStream(self._sdk, handle)
        args = {"stream": handle, "options": options}
        return stream.describe(await self._call("stream", **args))

    async def open(self, kind: str, options: Any) -> Any:
        """Open another kind of object: ``document``, ``list``, ``map``, …"""
        return await self._call("open", kind=kind, options=options)

    async def update_token(self, token: str) -> None:
        await self._call("updateToken", token=token)

    async def renew_on_expiry(self, token: str, *, after_ms: int | None) -> None:
        """Let the app call ``updateToken`` when ``tokenExpired`` comes, or later."""
        await self._call("renewOnExpiry", token=token, delay=after_ms)

    async def shutdown(self) -> None:
        await self._call("shutdown")

    async def _call(self, command: str, **args: Any) -> Any:
        return await self._sdk.call(command, client=self._handle, **args)


@dataclass
class Sdk:
    """One version of the SDK under Node, which is there from the first command on."""

    package: str
    clients: dict[str, SdkClient] = field(default_factory=dict)
    streams: dict[str, SdkStream] = field(default_factory=dict)
    uncaught: list[Any] = field(default_factory=list)
    """Uncaught errors, once it has ended."""
    _node: Node | None = None
    _replies: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _ids: "count[int]" = field(default_factory=count)

    def new_handle(self) -> str:
        return f"h{next(self._ids)}"

    async def client(self, token: str, uri: str, **options: Any) -> SdkClient:
        """Create a ``SyncClient`` that dials *uri*."""
        handle = self.new_handle()
        client = self.clients[handle] = SdkClient(self, handle)
        options = {"Twilsock": {"uri": uri}, **options}
        await self.call("create", client=handle, token=token, options=options)
        return client

    async def call(self, command: str, **args: Any) -> Any:
        """Run one command of the driver.

        Raises:
            SdkError: the SDK's promise rejected.
        """
        if self._node is None:
            await self._start()
        call_id = next(self._ids)
        reply = self._replies[call_id] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": call_id, "command": command, **args})
        self._writer.write(f"{line}\n".encode())
        return await reply

    async def jump(self, seconds: float) -> int:
        """Ring the timers that are due in so many seconds; return how many."""
        return int(await self.call("jump", seconds=seconds))

    async def end(self) -> None:
        """Shut the clients down, and keep the process if it is clean."""
        if self._node is None:
            return
        left: Any = "clients that do not end"
        with suppress(TimeoutError, EOFError, SdkError):
            async with asyncio.timeout(WAIT_SECONDS):
                self.uncaught = await self.call("crashes")
            async with asyncio.timeout(END_SECONDS):
                left = await self.call("end")
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        self._writer.close()
        if left:
            self._node.stop()
        else:
            give_back(self._node)

    async def _start(self) -> None:
        self._node = take(self.package)
        reader, self._writer = await self._node.connect()
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: StreamReader) -> None:
        """Pass on the driver's messages."""
        async for line in reader:
            self._hand_out(json.loads(line))
        for reply in self._replies.values():
            reply.set_exception(EOFError("Node has ended"))

    def _hand_out(self, line: dict[str, Any]) -> None:
        if "id" in line:
            self._settle(self._replies.pop(line["id"]), line)
        elif "stream" in line:
            self.streams[line["stream"]].take(line["event"], line.get("args"))
        else:
            self.clients[line["client"]].take(line["event"], line.get("args"))

    def _settle(self, reply: asyncio.Future[Any], line: dict[str, Any]) -> None:
        if reply.done():
            return
        if "error" in line:
            reply.set_exception(SdkError(line["error"]))
        else:
            reply.set_result(line["result"])


@asynccontextmanager
async def run_sdk(package: str = "twilio-sync") -> AsyncIterator[Sdk]:
    """Use an SDK under Node; it must not have crashed in the end."""
    if not shutil.which("node") or not (PACKAGES / package).exists():
        cannot_have(f"Node with npm's {package}")
    sdk = Sdk(package)
    try:
        yield sdk
    finally:
        await sdk.end()
    assert sdk.uncaught == []
