"""A Twilsock connection within the test's own process."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import jwt
from channels.testing import WebsocketCommunicator

from sync_streams.tokens import CONTENT_TYPE
from sync_streams.twilsock import frames
from tests import settings as site
from tests.asgi import application

PATH = "/v3/wsconnect"
TIMEOUT_SECONDS = 20

_ids = count(1)


def make_token(
    identity: str = "alice",
    ttl: int = 3600,
    *,
    issuer: str = site.API_KEY_SID,
    account_sid: str = site.ACCOUNT_SID,
    secret: str = site.API_KEY_SECRET,
    **grant: Any,
) -> str:
    """Make an access token; *grant* adds to its Sync grant."""
    sync = {"service_sid": "default", **grant}
    claims = {
        "iss": issuer,
        "sub": account_sid,
        "exp": int(time.time()) + ttl,
        "grants": {"identity": identity, "data_sync": sync},
    }
    return jwt.encode(claims, secret, headers={"cty": CONTENT_TYPE})


def body_of(frame: frames.Frame) -> Any:
    """Return a frame's payload."""
    return json.loads(frame.payload) if frame.payload else None


def message_sids(frame: frames.Frame) -> list[str]:
    """Return the SIDs of the Messages in a notification, of any kind."""
    messages = body_of(frame)["events"]
    return [message["message_sid"] for message in messages if "message_sid" in message]


class Session:
    """A connection that acknowledges pings, and anything else only on request."""

    def __init__(self) -> None:
        self.socket = WebsocketCommunicator(application, PATH)
        self.pending: list[frames.Frame] = []
        """Frames of the server that came before a reply that was waited for."""

    async def send(self, method: str, payload: bytes = b"", **fields: Any) -> str:
        """Send a frame and return its id."""
        frame_id = f"TM{next(_ids)}"
        header = {"id": frame_id, "method": method, **fields}
        await self.socket.send_to(bytes_data=frames.encode(header, payload))
        return frame_id

    async def event(self) -> dict[str, Any]:
        """Wait for the server's next ASGI event."""
        event: dict[str, Any] = await self.socket.receive_output(TIMEOUT_SECONDS)
        return event

    async def receive(self) -> frames.Frame:
        """Wait for the server's next frame but pings."""
        if self.pending:
            return self.pending.pop(0)
        event = await self.event()
        assert event["type"] == "websocket.send", event
        frame = frames.decode(event["bytes"])
        if frame.method != "ping":
            return frame
        await self.acknowledge(frame)
        return await self.receive()

    async def closed(self) -> int:
        """Wait for the end, past what comes before it, and return its code."""
        while (event := await self.event())["type"] == "websocket.send":
            pass
        return int(event["code"])

    async def acknowledge(self, frame: frames.Frame) -> None:
        """Acknowledge a frame as the SDK does."""
        header = {"id": frame.id, "method": "reply", "payload_type": "application/json"}
        status = {"code": 200, "status": "OK"}
        data = frames.encode({**header, "status": status})
        assert frames.ack_id(data) == frame.id
        await self.socket.send_to(bytes_data=data)

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
        reply = await self.ask(
            "message",
            b"" if body is None else json.dumps(body).encode(),
            http_request={"host": "x.example", "method": method, "path": path},
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
        objects = [{"object_sid": sid, "object_type": "stream"} for sid in sids]
        body = {
            "action": action,
            "event_protocol_version": version,
            "correlation_id": 1,
            "requests": objects,
        }
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
async def connected(token: str | None = None) -> AsyncIterator[Session]:
    """Open a connection; without a token, with one of alice."""
    session = Session()
    await session.socket.connect()
    reply = await session.ask("init", token=make_token() if token is None else token)
    assert reply.header["status"]["code"] == 200
    yield session
    # A wait that timed out has cancelled the consumer, and has said so already.
    if not session.socket.future.cancelled():
        await session.socket.disconnect()
