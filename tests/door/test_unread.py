"""Connections that end while their client reads nothing: none stays open for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.test import override_settings

from sync_streams.connections import bounds
from sync_streams.connections.frame_path import FRAME_EXTENSION
from sync_streams.connections.frames import WebSocketFrame
from sync_streams.connections.inbound import FRAMES_BEFORE_TOKEN
from sync_streams.connections.registry import LAST_CLOSES_SECONDS
from sync_streams.twilsock import frames
from sync_streams.uvicorn import BoundedHttpProtocol, FramePathProtocol
from tests.asgi import application
from tests.clients import twilsock
from tests.clients.raw import (
    HANDSHAKE,
    HttpConnection,
    RawConnection,
    frame,
    head,
    turns,
)
from tests.clock import Jump, settle
from tests.uvicorn_server import serving

SECONDS = 30
SEND_BUFFER = 4096
MANY = 1_000_000
"""Bytes that the kernel's buffers cannot hold, so that some stay in the server."""


class Observed:
    """What a test sees of a server's first connection."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.is_lost = False

    def of(self, kind: type[Any]) -> type[Any]:
        """Return a class of protocols that can be observed."""
        observed = self

        class Observable(kind):  # type: ignore[misc]
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                observed.protocol = observed.protocol or self
                # Otherwise it pauses its protocol, which starts a time limit.
                transport.set_write_buffer_limits(high=2 * MANY)  # type: ignore[attr-defined]
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if observed.protocol is self:
                    observed.is_lost = True

        return Observable

    @property
    def is_unread(self) -> bool:
        """Whether data waits in the server because the client does not read."""
        return bool(self.protocol and self.protocol.transport.get_write_buffer_size())

    async def until_closing(self) -> None:
        """Wait until the server is closing the connection, with data still unread."""
        async with asyncio.timeout(SECONDS):
            while not self.protocol.transport.is_closing():
                await turns()
        await turns()
        assert self.is_unread
        assert not self.is_lost

    async def until_lost(self, jump: Jump, seconds: float) -> None:
        """Let so much time pass, after which the connection must be gone."""
        jump(seconds)
        await settle()
        assert self.is_lost


@pytest.fixture
async def observed() -> Observed:
    return Observed()


@asynccontextmanager
async def unread_socket(
    observed: Observed, *, is_closed: bool = False
) -> AsyncIterator[RawConnection]:
    """Open a socket whose client has not read all it was sent, which may end it."""
    is_ready = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        path = scope["extensions"][FRAME_EXTENSION]
        await receive()
        await send({"type": "websocket.accept"})
        path.write(WebSocketFrame("x" * MANY).wire)
        if is_closed:
            await send({"type": "websocket.close", "code": 1000})
        is_ready.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    ws = observed.of(FramePathProtocol)
    async with (
        serving(application, ws=ws, send_buffer=SEND_BUFFER) as port,
        RawConnection(port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(head(HANDSHAKE))
        await asyncio.wait_for(is_ready.wait(), SECONDS)
        yield client


CLOSE = frame(8, b"\x03\xe8")
LAST_FRAMES = {
    "close": CLOSE,
    "unknown": frame(3),
    "not masked": b"\x81\x01x",
    "not text": frame(1, b"\xff", is_final=False) + frame(0),
    "flood": frame(10) * (FRAMES_BEFORE_TOKEN + 1),
}


@pytest.mark.parametrize("last", LAST_FRAMES.values(), ids=LAST_FRAMES)
async def test_a_socket_that_ends_unread_is_cut_off(
    last: bytes, observed: Observed, jump: Jump
) -> None:
    async with unread_socket(observed) as client:
        client.send(last)
        await observed.until_closing()
        await observed.until_lost(jump, bounds.LINGER_SECONDS)


async def test_a_socket_that_its_client_half_closes_unread_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    async with unread_socket(observed) as client:
        client.writer.write_eof()
        await observed.until_closing()
        await observed.until_lost(jump, bounds.LINGER_SECONDS)


async def test_a_socket_that_its_application_closes_unread_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    async with unread_socket(observed, is_closed=True):
        await observed.until_lost(jump, observed.protocol.close_timeout)


@pytest.mark.parametrize("last", [b"", CLOSE], ids=["open", "closed by its client"])
async def test_a_stopping_server_does_not_wait_for_an_unread_socket(
    last: bytes, observed: Observed, jump: Jump
) -> None:
    async with unread_socket(observed) as client:
        if last:
            client.send(last)
            await observed.until_closing()
        observed.protocol.shutdown()
        await observed.until_closing()
        await observed.until_lost(jump, bounds.LINGER_SECONDS)


async def test_a_client_that_closes_twilsock_without_reading_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    target = [f"GET {twilsock.PATH} HTTP/1.1", *HANDSHAKE[1:]]
    close = frame(2, frames.encode({"id": "TM1", "method": "close"}))

    async with (
        serving(
            application, ws=observed.of(FramePathProtocol), send_buffer=SEND_BUFFER
        ) as port,
        RawConnection(port) as client,
    ):
        client.send(head(target))
        await client.until(b"\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        observed.protocol.frame_path.write(WebSocketFrame("x" * MANY).wire)
        client.send(close)
        async with asyncio.timeout(SECONDS):
            while not observed.protocol.close_sent:
                await turns()
        await settle()
        assert observed.is_unread
        await observed.until_lost(jump, LAST_CLOSES_SECONDS)


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Answer; fail after a part of the response to ``/part``."""
    length = [(b"content-length", b"%d" % MANY)]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    body = {"body": b"x" * MANY, "more_body": scope["path"] == "/part"}
    await send({"type": "http.response.body", **body})


@asynccontextmanager
async def unread_responses(observed: Observed) -> AsyncIterator[tuple[int, Any]]:
    """Yields a port and a connection to it whose client has not read all responses."""
    http = observed.of(BoundedHttpProtocol)
    async with (
        serving(page, http=http, send_buffer=SEND_BUFFER) as port,
        HttpConnection(port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.request()
        async with asyncio.timeout(SECONDS):
            while not observed.is_unread:
                await turns()
        yield port, client


async def test_an_evicted_connection_with_an_unread_response_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    async with unread_responses(observed) as (port, _):
        with override_settings(SYNC_STREAMS={"MAX_HTTP_CONNECTIONS": 1}):
            async with HttpConnection(port):
                await observed.until_closing()
                await observed.until_lost(jump, bounds.UNREAD_SECONDS)


async def test_a_stopping_server_does_not_wait_for_an_unread_response(
    observed: Observed, jump: Jump
) -> None:
    async with unread_responses(observed):
        observed.protocol.shutdown()
        await observed.until_closing()
        await observed.until_lost(jump, bounds.UNREAD_SECONDS)


async def test_a_connection_that_its_client_half_closes_unread_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    async with unread_responses(observed) as (_, client):
        client.writer.write_eof()
        await observed.until_closing()
        await observed.until_lost(jump, bounds.UNREAD_SECONDS)


async def test_an_unread_response_that_its_application_breaks_off_is_cut_off(
    observed: Observed, jump: Jump
) -> None:
    async with unread_responses(observed) as (_, client):
        client.request(target="/part")
        await observed.until_closing()
        await observed.until_lost(jump, bounds.UNREAD_SECONDS)


async def test_a_handshake_behind_unread_responses_is_refused(
    observed: Observed, jump: Jump
) -> None:
    async with unread_responses(observed) as (_, client):
        observed.protocol.transport.set_write_buffer_limits()
        client.send(head(HANDSHAKE))
        await turns()
        await observed.until_lost(jump, bounds.LINGER_SECONDS)
