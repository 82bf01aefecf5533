"""A client that speaks Twilsock (docs/wire-twilsock.md), frame by frame."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from sync_streams.twilsock import frames
from tests.clients.accounts import ACCOUNT, Account
from tests.clients.wires import Closed, LocalWire, Wire

PATH = "/v3/wsconnect"

_ids = count(1)


def make_token(
    identity: str = "alice", ttl: int = 3600, account: Account = ACCOUNT, **grant: Any
) -> str:
    """Make an access token; *grant* adds to its Sync grant."""
    sync = {"service_sid": "default", **grant}
    return account.sign(ttl=ttl, grants={"identity": identity, "data_sync": sync})


def body_of(frame: frames.Frame) -> Any:
    """Return a frame's payload."""
    return json.loads(frame.payload) if frame.payload else None


def message_sids(frame: frames.Frame) -> list[str]:
    """Return the SIDs of the Messages in a notification, of any kind."""
    messages = body_of(frame)["events"]
    return [message["message_sid"] for message in messages if "message_sid" in message]


def acknowledgement(frame_id: str) -> bytes:
    """Return the frame with which the SDK acknowledges one of the server's."""
    header = {"id": frame_id, "method": "reply", "payload_type": "application/json"}
    return frames.encode({**header, "status": {"code": 200, "status": "OK"}})


def tunnelled(method: str, path: str) -> dict[str, str]:
    """Return the ``http_request`` of a frame that tunnels a request."""
    return {"host": "x.example", "method": method, "path": path}


def subscription(action: str, *sids: str, version: int = 4) -> dict[str, Any]:
    """Return the body that establishes or cancels subscriptions."""
    return {
        "action": action,
        "event_protocol_version": version,
        "correlation_id": 1,
        "requests": [{"object_sid": sid, "object_type": "stream"} for sid in sids],
    }


class Session:
    """A connection that acknowledges pings, and anything else only on request."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.pending: list[frames.Frame] = []
        """Frames of the server that arrived before an awaited reply."""

    async def send(self, method: str, payload: bytes = b"", **fields: Any) -> str:
        """Send a frame and return its id."""
        frame_id = f"TM{next(_ids)}"
        header = {"id": frame_id, "method": method, **fields}
        await self.wire.send(frames.encode(header, payload))
        return frame_id

    async def receive(self) -> frames.Frame:
        """Return the server's next frame except pings; raises :class:`Closed`."""
        if self.pending:
            return self.pending.pop(0)
        frame = frames.decode(await self.wire.receive())
        if frame.method != "ping":
            return frame
        await self.acknowledge(frame)
        return await self.receive()

    async def receive_all(self) -> tuple[list[frames.Frame], int]:
        """Return the frames up to the end, and the close code."""
        found: list[frames.Frame] = []
        try:
            while True:
                found.append(await self.receive())
        except Closed as end:
            return found, end.code

    async def receive_nothing(self, seconds: float = 0.1) -> bool:
        """Return whether no frame is waiting and none arrives for so long."""
        return not self.pending and await self.wire.receive_nothing(seconds)

    async def closed(self) -> int:
        """Acknowledge nothing more, and return the close code."""
        try:
            while True:
                await self.wire.receive()
        except Closed as end:
            return end.code

    async def acknowledge(self, frame: frames.Frame) -> None:
        """Acknowledge a frame as the SDK does."""
        data = acknowledgement(frame.id)
        assert frames.ack_id(data) == frame.id
        await self.wire.send(data)

    async def ask(
        self, method: str, payload: bytes = b"", **fields: Any
    ) -> frames.Frame:
        """Send a frame and wait for its reply."""
        frame_id = await self.send(method, payload, **fields)
        seen = []
        while (frame := await self.receive()).id != frame_id:
            seen.append(frame)
        self.pending = [*seen, *self.pending]
        return frame

    async def request(
        self, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        """Tunnel a request and return the status and body of its reply."""
        payload = b"" if body is None else json.dumps(body).encode()
        request = tunnelled(method, path)
        reply = await self.ask(
            "message", payload, active_grant="data_sync", http_request=request
        )
        return reply.header["http_status"]["code"], body_of(reply)

    async def create(self, **fields: Any) -> str:
        """Create a Stream and return its SID."""
        status, stream = await self.request("POST", "/v3/Streams", fields)
        assert status == 201
        return str(stream["sid"])

    async def change(
        self, action: str, *sids: str, version: int = 4
    ) -> list[frames.Frame]:
        """Establish or cancel subscriptions and return the events of it."""
        body = subscription(action, *sids, version=version)
        status, _ = await self.request("POST", "/v4/Subscriptions", body)
        assert status == 200
        events, self.pending = self.pending, []
        for event in events:
            await self.acknowledge(event)
        return events

    async def publish(self, sid: str, **data: Any) -> str:
        """Publish a Message and return its SID."""
        path = f"/v3/Streams/{sid}/Messages"
        status, message = await self.request("POST", path, {"data": data})
        assert status == 201, message
        return str(message["sid"])


@asynccontextmanager
async def opened(wire: Wire | None = None) -> AsyncIterator[Session]:
    """Open a connection, normally to the application in this process."""
    session = Session(LocalWire(PATH) if wire is None else wire)
    assert await session.wire.open()
    yield session
    await session.wire.close()


@asynccontextmanager
async def connected(
    token: str | None = None, *, wire: Wire | None = None
) -> AsyncIterator[Session]:
    """Open a connection as :func:`opened` and present a token; without one, alice's."""
    async with opened(wire) as session:
        token = make_token() if token is None else token
        reply = await session.ask("init", token=token)
        assert reply.header["status"]["code"] == 200
        yield session
