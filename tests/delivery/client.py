"""A client as seen by the server's ``send``: it reads, or it does not."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from sync_streams.delivery.events import Event
from sync_streams.delivery.outbox.frames import Frame, Writer
from sync_streams.delivery.outbox.outbox import Outbox
from sync_streams.operations.data import Message
from sync_streams.values.sids import new_sid
from sync_streams.websocket.protocol import JsonEncoder

ENCODER = JsonEncoder()


def published(message: Message, origin: str | None = None) -> Event:
    """Return the event of a Message."""
    return {
        "type": "message.published",
        "stream_sid": message.stream_sid,
        "message_sid": message.sid,
        "text": message.text,
        "origin": origin,
    }


def numbered(stream_sid: str, number: int, size: int = 0) -> Frame:
    """Return the frame of a Message that carries a number."""
    message = Message.new(stream_sid, {"n": number, "pad": "x" * size})
    return ENCODER.message_published(published(message))


class Client:
    """One connection's far end."""

    def __init__(
        self, *, reads: bool = True, pongs: bool = True, frame_path: bool = False
    ) -> None:
        self.frames: list[dict[str, Any]] = []
        """The frames that arrived, except pings."""
        self.pings = 0
        self.writes = 0
        """How often a frame was passed to the frame path."""
        self.events: list[dict[str, Any]] = []
        """Every ASGI event, closes included."""
        self.stuck = 0
        """How often the server gave up."""
        self.untold = 0
        """How often Messages may have been lost and the protocol could not say so."""
        self.is_gone = False
        """Whether sending raises, as uvicorn's does once the client has left."""
        self.is_broken = False
        """Whether the frame path raises, which it never should."""
        self.pongs = pongs
        self.reading = _Reading(self)
        self.arrived = asyncio.Event()
        self.outbox = Outbox(
            new_sid("RQ"),
            ENCODER,
            Writer(
                send=self._send,
                close=self._close,
                write=self._write if frame_path else None,
            ),
            on_stuck=self._note_stuck,
            on_untold=self._note_untold,
        )
        if reads:
            self.reading.set()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the Messages that arrived."""
        return [
            frame["message"]["data"]["n"]
            for frame in self.frames
            if frame["type"] == "message"
        ]

    async def until(self, count: int, within: float = 20) -> None:
        """Wait until that many frames arrived."""
        async with asyncio.timeout(within):
            while len(self.frames) < count:
                self.arrived.clear()
                await self.arrived.wait()

    def pong(self) -> None:
        """Answer the oldest ping."""
        self.outbox.acknowledge()

    async def _send(self, event: dict[str, Any]) -> None:
        await self.reading.wait()
        if self.is_gone:
            raise ConnectionResetError
        self.events.append(event)
        if "text" in event:
            self._take(event["text"])

    async def _close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})

    def _write(self, wire: bytes) -> None:
        if self.is_broken:
            raise RuntimeError("cannot take it")
        self.writes += 1
        for text in texts_of(wire):
            self._take(text)

    def _take(self, text: str) -> None:
        frame = json.loads(text)
        if frame["type"] == "ping":
            self.pings += 1
            if self.pongs:
                asyncio.get_running_loop().call_soon(self.outbox.acknowledge)
        else:
            self.frames.append(frame)
            self.arrived.set()

    def _note_untold(self) -> None:
        self.untold += 1

    def _note_stuck(self) -> None:
        self.stuck += 1
        self.arrived.set()


class _Reading(asyncio.Event):
    """Whether the client reads; the frame path is open while it does."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def set(self) -> None:
        super().set()
        self._client.outbox.set_writable(True)

    def clear(self) -> None:
        super().clear()
        self._client.outbox.set_writable(False)


def texts_of(wire: bytes) -> Iterator[str]:
    """Read unmasked text frames, RFC 6455, section 5.2."""
    while wire:
        assert wire[0] == 0x81
        start = {126: 4, 127: 10}.get(wire[1], 2)
        size = wire[1] if start == 2 else int.from_bytes(wire[2:start])
        yield wire[start : start + size].decode()
        wire = wire[start + size :]


def gap_of(stream_sid: str) -> dict[str, Any]:
    """Return the gap frame of a loss of unknown size."""
    return {"type": "gap", "stream_sid": stream_sid, "dropped": None}
