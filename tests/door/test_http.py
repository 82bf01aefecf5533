"""Bounds of HTTP on uvicorn, at both edges, in front of a small application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from django.test import override_settings
from websockets.asyncio.client import connect

from sync_streams.concurrency import BoundedRequests
from sync_streams.connections import bounds
from sync_streams.uvicorn import BoundedHttpProtocol, FramePathProtocol
from sync_streams.uvicorn.http import MAX_PIPELINED
from tests.clients.raw import HttpConnection
from tests.uvicorn_server import serving as serve_asgi

SECONDS = 30
SOON = 0.2
"""A time limit that a test reaches; it waits far longer for the consequence."""

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
CHUNKED = "Transfer-Encoding: chunked"

Application = Callable[[Any, Any, Any], Awaitable[None]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer how long the head's last header and the body were; accept sockets."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(len(scope["headers"]))})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    size, more_body = 0, True
    while more_body:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size += len(event["body"])
        more_body = event["more_body"]
    await answer(send, f"{scope['method']} {scope['path'][:20]} {size}")


async def answer(send: Any, text: str, status: int = 200) -> None:
    length = [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": length})
    await send({"type": "http.response.body", "body": text.encode()})


@asynccontextmanager
async def serving(application: Application = echo) -> AsyncIterator[int]:
    """Serve an application; yields the port."""
    async with serve_asgi(
        application,
        http=BoundedHttpProtocol,
        ws=FramePathProtocol,
        timeout_graceful_shutdown=1,
    ) as port:
        yield port


def head_of(size: int, *, in_line: bool) -> bytes:
    """Return a whole head of exactly so many bytes."""
    line, header = b"GET /%b HTTP/1.1\r\n", b"Host: x\r\n%b\r\n"
    room = size - len(line % b"") - len(header % b"")
    if in_line:
        return line % (b"x" * room) + header % b""
    lines = [b"a: " + b"x" * 1019 + b"\r\n"] * (room // 1024)
    rest = room % 1024
    if rest:
        lines[-1] = b"a: " + b"x" * (1019 + rest) + b"\r\n"
    return line % b"" + header % b"".join(lines)


@pytest.mark.parametrize("in_line", [True, False])
async def test_a_head_of_the_maximum_size_is_served(in_line: bool) -> None:
    head = head_of(bounds.MAX_HEAD_BYTES, in_line=in_line)
    assert len(head) == bounds.MAX_HEAD_BYTES

    async with serving() as port, HttpConnection(port) as client:
        for _ in range(2):
            client.send(head)
            assert (await client.answer())[0] == 200


@pytest.mark.parametrize(("in_line", "status"), [(True, 414), (False, 431)])
async def test_a_longer_head_is_refused(in_line: bool, status: int) -> None:
    size = bounds.MAX_HEAD_BYTES + 1
    head = b"GET /" + b"x" * (size - 5) if in_line else head_of(size, in_line=False)

    async with serving() as port, HttpConnection(port) as client:
        client.send(head)
        assert await client.refusal() == status


@pytest.mark.parametrize(("number", "status"), [(255, 200), (256, 431)])
async def test_headers_of_a_request_are_limited(number: int, status: int) -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(*["a: b"] * number)  # and Host
        assert (await client.answer())[0] == status


BODIES = {
    "announced": lambda size: [f"Content-Length: {size}"],
    "chunked": lambda size: [CHUNKED],
}


def body_of(size: int, kind: str) -> bytes:
    body = b"x" * size
    return body if kind == "announced" else b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_of_the_maximum_size_is_served(kind: str) -> None:
    size = 262_144

    async with serving(BoundedRequests(echo)) as port, HttpConnection(port) as client:
        client.request(*BODIES[kind](size), method="POST")
        client.send(body_of(size, kind))
        assert await client.answer() == (200, b"POST / %d" % size)


@pytest.mark.parametrize("kind", BODIES)
async def test_a_longer_body_is_refused(kind: str) -> None:
    size = 262_145

    async with serving() as port, HttpConnection(port) as client:
        client.request(*BODIES[kind](size), method="POST")
        if kind == "chunked":
            client.send(body_of(size, kind))
        assert await client.refusal() == 413


@override_settings(SYNC_STREAMS={"UPLOAD_PATHS": {"/media/": 1_000_000}})
async def test_a_host_accepts_larger_bodies_under_upload_paths() -> None:
    async with serving(BoundedRequests(echo)) as port:
        for target, size, status in (
            ("/media/a", 1_000_000, 200),
            ("/media/a", 1_000_001, 413),
            ("/other", 262_145, 413),
        ):
            async with HttpConnection(port) as client:
                client.request(f"Content-Length: {size}", method="PUT", target=target)
                if status == 200:
                    client.send(b"x" * size)
                assert (await client.answer())[0] == status


@pytest.mark.parametrize("part", [b"1;x=", b"1\r\nx\r\n0\r\nx: "])
async def test_chunk_extensions_and_trailers_are_bounded(part: bytes) -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(CHUNKED, method="POST")
        client.send(part + b"x" * (262_144 + bounds.MAX_HEAD_BYTES + 8192))
        assert await client.refusal() == 413


def chunk_of(size: int) -> bytes:
    """Return a chunk that exceeds both bounds of a body with the same byte."""
    line = b"%x;x=%b\r\n" % (size, b"x" * bounds.MAX_HEAD_BYTES)
    return line[: bounds.MAX_HEAD_BYTES - 2] + b"\r\n" + b"x" * size


@pytest.mark.parametrize(
    ("head", "more", "status"),
    [
        ([CHUNKED], chunk_of(262_145), 413),
        (["a: b"] * 300 + ["b\0d: x"], b"", 431),
    ],
    ids=["body", "headers"],
)
async def test_a_client_with_two_faults_at_once_is_refused_once(
    head: list[str], more: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(*head, method="POST")
        client.send(more)
        assert await client.refusal() == status

    assert not caplog.records


@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HT"],
        ["GET / HTTP/1.1", "Host: x"],
        ["POST / HTTP/1.1", "Host: x", "Content-Length: 2", "", "x"],
        ["POST / HTTP/1.1", "Host: x", CHUNKED, "", "2"],
        ["POST / HTTP/1.1", "Host: x", CHUNKED, "", "1", "x", "0", "x: y"],
        ["", ""],
        ["GET / HTTP/1.1", "Host: x", *HANDSHAKE],
    ],
    ids=["line", "header", "body", "chunk", "trailer", "empty lines", "handshake"],
)
async def test_an_unfinished_request_is_answered_and_ended_in_time(
    lines: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", SOON)
    monkeypatch.setattr(bounds, "BODY_SECONDS", SOON)

    async with serving() as port, HttpConnection(port) as client:
        client.send("\r\n".join(lines).encode())
        assert await client.refusal() == 408


@pytest.mark.parametrize("kind", BODIES)
async def test_a_head_that_begins_right_behind_a_body_has_a_time_limit(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", SOON)

    async with serving() as port, HttpConnection(port) as client:
        client.request(*BODIES[kind](1), method="POST")
        client.send(body_of(1, kind) + b"GET / HT")
        assert (await client.answer())[0] == 200
        client.send(b"TP")
        assert await client.refusal() == 408


class Publishing:
    """An application that answers each whole publish where it arrives."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)

    def answerer(self, scope: Any) -> Any:
        return self.publish

    def publish(self, body: bytes, write: Callable[[Any], None]) -> bool:
        write((201, [("content-length", "0")], b""))
        return True


async def test_a_publish_within_a_head_is_part_of_it() -> None:
    publish = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"

    async with serving(Publishing()) as port, HttpConnection(port) as client:
        client.send(publish)
        assert await client.answer() == (201, b"")
        client.request(CHUNKED, method="POST", target="/a")
        client.send(body_of(1, "chunked") + b"POST /b HTTP/1.1\r\nX: ")
        assert await client.answer() == (200, b"POST /a 1")
        client.send(publish)
        assert await client.answer() == (200, b"POST /b 1")


async def test_a_silent_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", SOON)

    async with serving() as port, HttpConnection(port) as client:
        assert await client.end() == b""


async def test_empty_lines_do_not_keep_a_served_connection_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", SOON)

    async with serving() as port, HttpConnection(port) as client:
        client.request()
        await client.answer()
        client.send(b"\r\n")
        assert await client.refusal() == 408


async def test_a_response_that_is_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "UNREAD_SECONDS", SOON)
    ended = asyncio.Event()

    async def pour(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            body = {"body": b"x" * 65_536, "more_body": True}
            await send({"type": "http.response.body", **body})
            await asyncio.sleep(0)
        ended.set()

    async with serving(pour) as port, HttpConnection(port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.request()
        await asyncio.wait_for(ended.wait(), SECONDS)


async def test_a_refused_client_cannot_go_on_for_ever() -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request("Content-Length: 9000000000", method="POST")
        await client.pour(b"x" * 65_536)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as port, HttpConnection(port) as client:
        for number in range(300):
            client.request(method="GET", target=f"/{number}")
        for number in range(300):
            assert await client.answer() == (200, b"GET /%d 0" % number)


async def test_requests_arrive_however_they_are_split() -> None:
    async with serving() as port, HttpConnection(port) as client:
        for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxy" * 3:
            client.send(bytes([byte]))
            await client.writer.drain()
        for _ in range(3):
            assert await client.answer() == (200, b"POST /a 2")


async def test_the_longest_idle_connection_makes_room_for_a_new_one() -> None:
    with override_settings(SYNC_STREAMS={"MAX_HTTP_CONNECTIONS": 2}):
        async with (
            serving() as port,
            HttpConnection(port) as first,
            HttpConnection(port) as second,
        ):
            for client in (first, second, first):
                client.request()
                assert (await client.answer())[0] == 200
            async with HttpConnection(port) as third:
                third.request()
                assert (await third.answer())[0] == 200
                assert await second.end() == b""
                first.request()
                assert (await first.answer())[0] == 200


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("offer", ["h2c", "foo/2, bar"])
async def test_a_request_that_offers_another_protocol_keeps_its_body(
    kind: str, offer: str
) -> None:
    upgrade = [f"Upgrade: {offer}", "Connection: Upgrade, HTTP2-Settings"]

    async with serving() as port, HttpConnection(port) as client:
        for _ in range(2):
            client.request(*upgrade, *BODIES[kind](5), method="POST", target="/a")
            client.send(body_of(5, kind))
            assert await client.answer() == (200, b"POST /a 5")


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
@pytest.mark.parametrize("offer", ["", "h2c"])
async def test_a_target_that_cannot_be_read_is_refused(
    offer: str, is_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = [f"Upgrade: {offer}", "Connection: Upgrade"] if offer else []

    async with serving() as port, HttpConnection(port) as client:
        if not is_first:
            client.request()
            await client.answer()
        client.request(*upgrade, target="http://a")
        assert await client.refusal() == 400

    assert not caplog.records


async def test_a_request_for_a_tunnel_is_refused() -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(method="CONNECT", target="x:443")
        assert await client.refusal() == 400


@pytest.mark.parametrize(
    "more",
    [["Content-Length: 5"], [CHUNKED], ["Content-Length: 0", "", "early"]],
    ids=["body", "chunked body", "something early"],
)
async def test_a_handshake_with_a_body_is_refused_at_once(more: list[str]) -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(*HANDSHAKE, KEY, *more)
        assert await client.refusal() == 400


async def test_a_handshake_behind_a_request_waits_for_its_response() -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            + "\r\n".join(
                ["GET / HTTP/1.1", "Host: x", *HANDSHAKE, KEY, "", ""]
            ).encode()
        )
        assert await client.answer() == (200, b"GET / 0")
        assert (await client.answer())[0] == 101


async def test_few_requests_are_parsed_after_a_chunked_body() -> None:
    """Only the parser knows where it ends, and it also reads the following data."""
    body = b"0\r\n\r\n"
    for number, is_served in ((MAX_PIPELINED, True), (MAX_PIPELINED + 1, False)):
        async with serving() as port, HttpConnection(port) as client:
            client.request(CHUNKED, method="POST")
            client.send(body + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * number)
            if is_served:
                for _ in range(number + 1):
                    assert (await client.answer())[0] == 200
            else:
                with suppress(ConnectionError):
                    assert b"GET" not in await client.end()


async def test_a_handshake_may_bring_cookies_of_any_size_and_many_headers() -> None:
    headers = [("Cookie", "x" * 40_000), *(("X-A", "b") for _ in range(200))]

    async with (
        serving() as port,
        connect(f"ws://127.0.0.1:{port}", additional_headers=headers) as socket,
    ):
        assert int(await asyncio.wait_for(socket.recv(), SECONDS)) > 200


@pytest.mark.parametrize(
    ("line", "status"),
    [("Sec-WebSocket-Protocol: " + "x" * 9000, 431), ("Sec-WebSocket-Key: x", 400)],
)
async def test_an_impossible_handshake_is_answered(line: str, status: int) -> None:
    async with serving() as port, HttpConnection(port) as client:
        client.request(*HANDSHAKE, line)
        assert (await client.answer())[0] == status
        await client.end()
