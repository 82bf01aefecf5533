"""Sequence: numbers a Stream's Messages, so that a process notices that one is missing.

Channel layers other than ours may lose events silently, for instance above their
capacity. On those, each process numbers the Messages that it publishes to a Stream, and
states with each of them up to which number all earlier ones have been sent.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, TypeAlias

from sync_streams.processes.per_loop import PerLoop

MAX_STREAMS = 10_000
"""Streams with numbers that a process remembers; those of all others start again."""

MAX_SOURCES = 64
"""Publishing processes that are remembered for each Stream with subscribers."""

MAX_EARLY = 1_000
"""How many numbers may arrive before an earlier one has been sent."""

Sequence: TypeAlias = list[str | int]
"""The publisher, the number, and the one up to which all had been sent before."""


class _Sent:
    """The Messages that were published to one Stream."""

    __slots__ = ("last", "sending", "source")

    def __init__(self) -> None:
        self.source = token_hex(4)
        self.last = 0
        self.sending: set[int] = set()


class Numbers:
    """Numbers the Messages that one event loop publishes."""

    def __init__(self) -> None:
        self._streams: dict[str, _Sent] = {}

    @contextmanager
    def sending(self, stream_sid: str) -> Iterator[Sequence]:
        """Yield a Stream's next number, which is being sent until the block ends."""
        sent = self._streams.pop(stream_sid, None) or _Sent()
        self._streams[stream_sid] = sent
        if len(self._streams) > MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        sent.last += 1
        number, before = sent.last, min(sent.sending, default=sent.last) - 1
        sent.sending.add(number)
        try:
            yield [sent.source, number, before]
        except BaseException:
            # It is unknown whether it was sent: start again, so that nobody waits for
            # it.
            if self._streams.get(stream_sid) is sent:
                del self._streams[stream_sid]
            raise
        finally:
            sent.sending.discard(number)


class _Arrived:
    """The numbers that have arrived from one process since the first one."""

    __slots__ = ("complete_until", "numbers")

    def __init__(self, first: int) -> None:
        self.complete_until = first
        self.numbers: set[int] = set()

    def add(self, number: int, before: int) -> bool:
        """Record a number; return whether all up to *before* have arrived."""
        if number > self.complete_until:
            self.numbers.add(number)
        if len(self.numbers) > MAX_EARLY:
            before = max(before, max(self.numbers))
        due = max(0, before - self.complete_until)
        arrived = {one for one in self.numbers if one <= before}
        self.numbers -= arrived
        self.complete_until += due
        return len(arrived) == due


class Arrivals:
    """The Messages of one Stream that have arrived, by number."""

    __slots__ = ("_sources",)

    def __init__(self) -> None:
        self._sources: dict[str, _Arrived] = {}

    def are_complete(self, event: Mapping[str, Any]) -> bool:
        """Record a Message; return whether none before it is known to be missing."""
        match event.get("sequence"):
            case [str(source), int(number), int(before)]:
                pass
            case _:
                return True
        if source in self._sources:
            return self._sources[source].add(number, before)
        self._sources[source] = _Arrived(number)
        if len(self._sources) > MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        return True


numbers = PerLoop(Numbers)
