"""Requests as ASGI events, and raw responses, to compare two applications."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.clients.accounts import ACCOUNT

Application = Callable[..., Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

FORM = b"application/x-www-form-urlencoded"
BASIC = ACCOUNT.basic.encode()
PATH = b"/v1/Services/default/Streams/news/Messages"
BODY = b"Data=%7B%22n%22%3A1%7D"
WAIT_SECONDS = 30

_VARYING = (
    (re.compile(rb"TZ[0-9a-f]{32}"), b"TZ"),
    (re.compile(rb"RQ[0-9a-f]{32}"), b"RQ"),
    (re.compile(rb"^[0-9]+\.[0-9]{3}$"), b"0.000"),
)
"""The parts that differ in every response: SIDs of Messages and requests, durations."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, and the pieces in which its body arrives."""

    path: str
    method: str = "POST"
    headers: Sequence[tuple[bytes, bytes]] = ()
    pieces: Sequence[bytes] = (b"",)
    query: bytes = b""
    scheme: str = "http"
    root_path: str = ""
    leaves: bool = False
    """Whether the client leaves instead of sending the last piece."""

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.path.encode("utf-8", "surrogateescape"),
            "query_string": self.query,
            "root_path": self.root_path,
            "headers": list(self.headers),
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 12345),
        }


def publication(path: str, body: bytes, **changes: Any) -> Request:
    """Return a request that publishes, as Twilio's clients write it."""
    headers = [
        (b"host", b"testserver"),
        (b"authorization", BASIC),
        (b"content-type", FORM),
        (b"content-length", str(len(body)).encode()),
    ]
    request = Request(path=path, headers=headers, pieces=[body])
    return replace(request, **changes)


@dataclass(frozen=True)
class Answer:
    """The response; empty, if the client had left."""

    status: int = 0
    headers: frozenset[tuple[bytes, bytes]] = field(default_factory=frozenset)
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        return dict(self.headers)[name]

    def comparable(self) -> "Answer":
        """Return it without the parts that always differ, in any order."""
        pairs = ((name.lower(), value) for name, value in self.headers)
        headers = frozenset((name, without_variation(value)) for name, value in pairs)
        return Answer(self.status, headers, without_variation(self.body))


def without_variation(value: bytes) -> bytes:
    """Return a header's value, or a body, without the parts that always differ."""
    for pattern, instead in _VARYING:
        value = pattern.sub(instead, value)
    return value


async def ask(application: Application, request: Request) -> Answer:
    """Send a request and return the response."""
    last = len(request.pieces) - 1
    events: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": number < last}
        for number, piece in enumerate(request.pieces)
    ]
    if request.leaves:
        events[-1] = {"type": "http.disconnect"}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop(0)
        await asyncio.get_running_loop().create_future()  # it stays, and is silent
        raise AssertionError

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    async with asyncio.timeout(WAIT_SECONDS):
        await application(request.scope(), receive, send)
    return _read(sent)


def _read(sent: list[dict[str, Any]]) -> Answer:
    if not sent:
        return Answer()
    start, *parts = sent
    body = b"".join(part.get("body", b"") for part in parts)
    assert not parts[-1].get("more_body")
    return Answer(start["status"], frozenset(map(tuple, start["headers"])), body)


def raw(
    *headers: bytes, path: bytes = PATH, body: bytes = BODY, method: bytes = b"POST"
) -> bytes:
    """Return a whole request as Twilio's clients send it, with more headers."""
    lines = [
        b"%b %b HTTP/1.1" % (method, path),
        b"Host: testserver",
        b"Authorization: " + BASIC,
        b"Content-Type: " + FORM,
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join([*lines, b"", body])
