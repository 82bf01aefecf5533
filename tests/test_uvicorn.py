"""The frame path with a strict WebSocket client, without Django."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from sync_streams.connections.frame_path import FRAME_EXTENSION, FramePath
from sync_streams.connections.frames import WebSocketFrame
from sync_streams.uvicorn import FramePathProtocol
from tests.clients.raw import HANDSHAKE, RawConnection, head
from tests.uvicorn_server import serving as serve_asgi

SECONDS = 30
SIZES = [0, 1, 125, 126, 65_535, 65_536, 300_000]

Serve = Callable[["Socket"], Awaitable[None]]


class Socket:
    """A connection as an ASGI application sees it, with the frame path."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.receive, self.send = receive, send
        self.frame_path: FramePath = scope["extensions"][FRAME_EXTENSION]
        self.frame_path.set_writable = self.set_writable
        self.is_writable = False

    def set_writable(self, is_writable: bool) -> None:
        self.is_writable = is_writable

    def write(self, text: str) -> bool:
        """Write if the path is open, as an outbox does."""
        if self.is_writable:
            self.frame_path.write(WebSocketFrame(text).wire)
        return self.is_writable

    async def accept(self) -> None:
        await self.receive()
        await self.send({"type": "websocket.accept"})

    async def until_closed(self) -> None:
        while (await self.receive())["type"] != "websocket.disconnect":
            pass


@asynccontextmanager
async def serving(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """Serve one application; yields the port."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await serve(Socket(scope, receive, send))

    async with serve_asgi(application, ws=FramePathProtocol, **options) as port:
        yield port


def client(port: int, **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}", compression=None, **options)


async def texts(connection: ClientConnection, count: int) -> list[Any]:
    async with asyncio.timeout(SECONDS):
        return [await connection.recv() for _ in range(count)]


async def test_frames_of_every_length_arrive_whole_and_in_order() -> None:
    async def serve(socket: Socket) -> None:
        await socket.accept()
        for size in SIZES:
            while not socket.write("é" * size):
                await socket.send({"type": "websocket.send", "text": "wait"})
        await socket.until_closed()

    async with serving(serve) as port, client(port, max_size=None) as connection:
        found = await texts(connection, len(SIZES))

    assert [text for text in found if text != "wait"] == ["é" * n for n in SIZES]


async def test_frames_stand_between_ordinary_ones_pings_and_fragments() -> None:
    async def serve(socket: Socket) -> None:
        await socket.accept()
        while (event := await socket.receive())["type"] == "websocket.receive":
            assert socket.write(f"first {event['text']}")
            await socket.send({"type": "websocket.send", "text": "second"})

    async with serving(serve) as port, client(port) as connection:
        for number in range(50):
            await connection.send(iter([f"{number}", " of ", "fifty"]))
            await asyncio.wait_for(await connection.ping(), SECONDS)
            assert await texts(connection, 2) == [f"first {number} of fifty", "second"]


async def test_a_frame_that_the_application_takes_at_once_is_not_received() -> None:
    offered: list[tuple[bytes, bool]] = []
    received: list[Any] = []

    def take(data: bytes, is_text: bool, _: bool) -> bool:
        offered.append((bytes(data), is_text))
        return data.startswith(b"ack")

    async def serve(socket: Socket) -> None:
        socket.frame_path.take = take
        await socket.accept()
        while (event := await socket.receive())["type"] == "websocket.receive":
            received.append(event.get("text") or event.get("bytes"))

    async with serving(serve) as port, client(port) as connection:
        for data in (b"ack 1", b"ask", "ack as text", b"ack 2"):
            await connection.send(data)
        await connection.send(iter([b"ack ", b"in two"]))
        await connection.send(b"end")

    binary = [(b"ack 1", False), (b"ask", False), (b"ack 2", False), (b"end", False)]
    assert offered == [*binary[:2], (b"ack as text", True), *binary[2:]]
    assert received == [b"ask", b"ack in two", b"end"]


async def test_nothing_is_written_before_the_socket_is_open() -> None:
    async def serve(socket: Socket) -> None:
        assert not socket.write("too early")
        await socket.accept()
        assert socket.write("in time")
        await socket.until_closed()

    async with serving(serve) as port, client(port) as connection:
        assert await texts(connection, 1) == ["in time"]


async def test_nothing_is_written_after_the_application_closed() -> None:
    outcome = asyncio.get_running_loop().create_future()

    async def serve(socket: Socket) -> None:
        await socket.accept()
        await socket.send({"type": "websocket.close", "code": 4000})
        outcome.set_result(socket.write("too late"))

    async with serving(serve) as port, client(port) as connection:
        with pytest.raises(ConnectionClosed):
            await texts(connection, 1)

    assert connection.close_code == 4000
    assert outcome.result() is False


async def test_nothing_is_written_after_the_client_closed() -> None:
    outcome = asyncio.get_running_loop().create_future()

    async def serve(socket: Socket) -> None:
        await socket.accept()
        await socket.until_closed()
        outcome.set_result(socket.write("too late"))

    async with serving(serve) as port:
        async with client(port):
            pass
        assert await asyncio.wait_for(outcome, SECONDS) is False


async def test_a_client_that_does_not_read_fills_only_the_transport() -> None:
    outcome = asyncio.get_running_loop().create_future()

    async def serve(socket: Socket) -> None:
        await socket.accept()
        written = 0
        while socket.write("x" * 10_000):
            written += 10_000
        outcome.set_result(written)
        socket.frame_path.abort()

    async with serving(serve) as port, RawConnection(port) as connection:
        connection.send(head(HANDSHAKE))
        written = await asyncio.wait_for(outcome, SECONDS)

    # The kernel's buffers, plus asyncio's 64 KiB.
    assert 0 < written < 32_000_000


async def test_the_application_is_asked_to_leave_when_the_server_stops() -> None:
    asked = asyncio.Event()

    async def serve(socket: Socket) -> None:
        socket.frame_path.close = asked.set
        await socket.accept()
        await asked.wait()
        socket.write("goodbye")
        await socket.send({"type": "websocket.close", "code": 4008})
        await socket.until_closed()

    async with client_of_a_stopping_server(serve) as connection:
        assert await texts(connection, 1) == ["goodbye"]
        with pytest.raises(ConnectionClosed):
            await texts(connection, 1)

    assert connection.close_code == 4008


@asynccontextmanager
async def client_of_a_stopping_server(serve: Serve) -> AsyncIterator[ClientConnection]:
    context = serving(serve)
    connection = await client(await context.__aenter__())
    stopped = asyncio.create_task(context.__aexit__(None, None, None))
    yield connection
    await stopped


async def test_frames_go_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def serve(socket: Socket) -> None:
        await socket.accept()
        assert socket.write("secret")
        await socket.until_closed()

    trusted = ssl.create_default_context(cafile=certificate)
    tls = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    async with (
        serving(serve, **tls) as port,
        connect(f"wss://localhost:{port}", ssl=trusted) as connection,
    ):
        assert await texts(connection, 1) == ["secret"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
