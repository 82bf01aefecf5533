"""One connection to a Redis server: commands out, replies in, in order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from .health import RedisUnavailable, describe
from .protocol import ReplyError, Word, new_reader, pack, protocol_error


class Answer(Protocol):
    """Takes the reply to a command where it is read; a future qualifies."""

    def done(self) -> bool:
        """Return whether the reply is no longer waited for."""

    def set_result(self, reply: Any, /) -> None:
        """Take the reply."""

    def set_exception(self, error: Exception, /) -> None:
        """Take an error instead: an error reply, or the reason why there is none."""


Waiting: TypeAlias = tuple[Answer, float]
"""What waits for a reply, and since when."""


class Connection(asyncio.Protocol):
    """One connection; everything sent in one loop iteration is written together."""

    def __init__(self) -> None:
        """Create a connection that can be opened on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._reader = new_reader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._reason = ""
        self.waiting: deque[Waiting] = deque()
        """Pending replies."""
        self.take: Callable[[Any], None] = self._answer
        """Called with each reply; errors are passed as values too."""
        self.on_lost: Callable[[str], None] = lambda reason: None
        """Called with the reason, once, when the connection is lost."""
        self.prepared: list[Any] = []
        """Replies to the preparations, including errors."""
        self.is_lost = False
        self.received_at = self._loop.time()
        """When something was last read, by the loop's clock."""

    def request(self, *words: Word) -> "asyncio.Future[Any]":
        """Send a command; return its reply, which may be an error, or ``None``."""
        reply = self._loop.create_future()
        self.forward(words, reply, self._loop.time())
        return reply

    def forward(self, words: Sequence[Word], answer: Answer, asked_at: float) -> None:
        """Send a command; *answer* takes its reply."""
        if self.is_lost:
            answer.set_exception(RedisUnavailable(self._reason))
            return
        self.waiting.append((answer, asked_at))
        self.send(pack(*words))

    def send(self, data: bytes) -> None:
        """Send bytes, together with everything else from this loop iteration."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.is_lost:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def abort(self, reason: str) -> None:
        """Abort the connection; ``on_lost`` is called soon after."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received_at = self._loop.time()
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                self.take(reply)
        except protocol_error() as error:
            self.abort(f"not Redis' protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._reason = self._reason or (describe(exc) if exc else "connection closed")
        while self.waiting:
            answer, _ = self.waiting.popleft()
            if not answer.done():
                answer.set_exception(RedisUnavailable(self._reason))
        self.on_lost(self._reason)

    def _answer(self, value: Any) -> None:
        if not self.waiting:
            self.abort(f"a reply to nothing: {value!r:.200}")
            return
        answer, _ = self.waiting.popleft()
        if answer.done():
            return
        if isinstance(value, ReplyError):
            answer.set_exception(value)
        else:
            answer.set_result(value)
