"""Frames: what is sent to connections, and the interfaces of a transport.

Delivery knows no protocol. A transport provides an :class:`Encoder`, which encodes each
event once for all its connections, and a :class:`Writer` for each connection.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sync_streams.delivery.events import Event


class Frame(Protocol):
    """One outbound frame: immutable by convention and shared between connections."""

    event: Any
    """The argument of the transport's ``send``."""

    size: int
    """Bytes of content."""

    stream_sid: str | None
    """The Stream of a Message. Only such frames may be dropped."""

    ack_id: str | None
    """Id in the client's acknowledgement; ``None``: it sends none."""

    messages: int
    """Number of Messages in it."""

    @property
    def wire(self) -> bytes:
        """The frame's bytes on the wire."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes to one connection of a transport."""

    send: Callable[[Any], Awaitable[None]]
    """Sends a frame's ``event``, and waits as long as the server does."""

    close: Callable[[int], Awaitable[None]]
    """Closes the connection, with a close code if the protocol has them."""

    write: Callable[[bytes], object] | None = None
    """Passes a frame's ``wire`` to the server without waiting, if the server can."""

    has_flow_control: bool = False
    """Whether ``send`` itself provides flow control: the server waits for slow readers,
    and the protocol has no acknowledgements."""


async def _discard(_: Any) -> None:
    return


NOWHERE = Writer(send=_discard, close=_discard)
"""The writer of a connection that is closed."""


class Encoder(Protocol):
    """Encodes events on Streams for a protocol."""

    skips_origin: bool
    """Whether the connection that caused an event does not receive it."""

    def message_published(self, event: Event) -> Frame:
        """Encode a Message."""

    def merge(self, waiting: Sequence[Frame]) -> Frame:
        """Merge waiting frames, starting with a Message, as far as one frame can hold.

        Returns:
            A frame that replaces the first ``messages`` of them.
        """

    def stream_removed(self, event: Event) -> Frame:
        """Encode the removal of a Stream."""

    def gap(self, stream_sid: str, dropped: int | None) -> Frame | None:
        """Encode a gap in a Stream, if the protocol can.

        Args:
            stream_sid: the Stream.
            dropped: number of lost Messages; ``None``: unknown.
        """

    def ping(self) -> Frame:
        """Encode a frame that the client acknowledges."""
