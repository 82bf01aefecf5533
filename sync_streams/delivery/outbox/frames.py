"""Frames: what connections are sent, and how a transport writes it.

Delivery knows no protocol. A transport brings an :class:`Encoder`, which writes each
event once for all its connections, and for each connection a :class:`Writer`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sync_streams.delivery.events import Event


class Frame(Protocol):
    """One outbound frame: immutable by convention and shared between connections."""

    event: Any
    """What the transport's ``send`` takes."""

    size: int
    """Bytes of content."""

    stream_sid: str | None
    """The Stream whose Message this is. Only such frames may be dropped."""

    ack_id: str | None
    """What the client's acknowledgement names it by; ``None``: it sends none."""

    messages: int
    """How many Messages are in it."""

    @property
    def wire(self) -> bytes:
        """The frame as it goes over the wire."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A transport's way out, for one connection."""

    send: Callable[[Any], Awaitable[None]]
    """Sends a frame's ``event``, and waits as long as the server says."""

    close: Callable[[int], Awaitable[None]]
    """Ends the connection, with a close code where the protocol has them."""

    write: Callable[[bytes], object] | None = None
    """Hands a frame's ``wire`` to the server without waiting, where that is offered."""

    is_clock: bool = False
    """Whether what ``send`` has returned from needs no acknowledgement: there is none
    in the protocol, and the server waits for slow readers."""


class Encoder(Protocol):
    """A protocol, as delivery sees it: how it writes what happens to Streams."""

    skips_origin: bool
    """The connection that caused an event is not told of it."""

    def message_published(self, event: Event) -> Frame:
        """Write a Message."""

    def merge(self, waiting: Sequence[Frame]) -> Frame:
        """Write what waits, a Message first, as far as one frame may hold it.

        Returns:
            A frame that stands for as many of the first frames as ``messages`` says.
        """

    def stream_removed(self, event: Event) -> Frame:
        """Write that a Stream is gone."""

    def gap(self, stream_sid: str, dropped: int | None) -> Frame | None:
        """Write that Messages of a Stream were lost, if the protocol can.

        Args:
            stream_sid: the Stream.
            dropped: how many; ``None``: nobody knows.
        """

    def ping(self) -> Frame:
        """Write a frame that the client acknowledges."""
