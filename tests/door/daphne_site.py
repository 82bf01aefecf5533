"""An application whose responses last as long, or fail as late, as a test wants."""

import asyncio
from typing import Any

from sync_streams.connections import bounds

PART = b"x" * 65_536
PARTS = 1_000
"""Parts of a large response: far more than two sockets buffer."""

go_on = asyncio.Event()
left: "asyncio.Queue[int]" = asyncio.Queue()
"""How many parts had been sent when a client left."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Do what the last part of the path names."""
    # Not on import: tests import this, too.
    bounds.UNREAD_SECONDS = bounds.LINGER_SECONDS = 1
    await HANDLERS[scope["path"].rpartition("/")[2]](receive, send)


async def _begin(send: Any, kind: bytes = b"text/plain") -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(send: Any, data: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def events(_receive: Any, send: Any) -> None:
    """Send one event, and another one when told."""
    await _begin(send, b"text/event-stream")
    await _write(send, b"data: first\n\n", more=True)
    await go_on.wait()
    await _write(send, b"data: second\n\n")


async def go(_receive: Any, send: Any) -> None:
    """Tell :func:`events` to go on."""
    go_on.set()
    await _begin(send)
    await _write(send, b"")


async def large(receive: Any, send: Any) -> None:
    """Send a large response."""
    await receive()
    gone = asyncio.ensure_future(receive())
    await _begin(send, b"text/event-stream")
    count = 0
    while count < PARTS and not gone.done():
        count += 1
        await _write(send, PART, more=True)
        await asyncio.sleep(0)
    await gone
    left.put_nowait(count)


async def websocket(receive: Any, send: Any) -> None:
    """Send more than a client reads, until it leaves."""
    await receive()
    await send({"type": "websocket.accept"})
    for _ in range(PARTS):
        await send({"type": "websocket.send", "bytes": PART})
    await receive()
    left.put_nowait(PARTS)


async def who_left(_receive: Any, send: Any) -> None:
    """Answer once a client has left."""
    count = await left.get()
    headers = [(b"content-type", b"text/event-stream"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await _write(send, b"%4d" % count)


async def slow(_receive: Any, _send: Any) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def fault(_receive: Any, _send: Any) -> None:
    """Fail before the response."""
    raise ValueError("on purpose")


async def late(_receive: Any, send: Any) -> None:
    """Fail within the response."""
    await _begin(send)
    await _write(send, b"begun", more=True)
    raise ValueError("on purpose")


HANDLERS = {
    "events": events,
    "go": go,
    "large": large,
    "websocket": websocket,
    "left": who_left,
    "slow": slow,
    "fault": fault,
    "late": late,
}
