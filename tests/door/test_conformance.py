"""RFC 6455, case by case, compared with a strict parser's verdict.

Each case is what a client sends after the handshake. Three verdicts have to agree: the
table's, that of ``wsproto``, and that of each server class. Numbers are sections of the
RFC: https://www.rfc-editor.org/rfc/rfc6455. In the other role, a strict client reads
what the servers write. The package itself has no client in Python, and its JavaScript
client leaves the protocol to the browser.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Self

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from tests.clients.raw import RawConnection, RawSocket, frame, text
from tests.door.test_frames import SECONDS, token

PROTOCOL_ERROR, NOT_UTF8 = 1002, 1007
DROPPED = 1006
"""The connection ended without a close frame: section 7.1.5."""

V1 = "sync-streams.v1"
REQUEST = text(type="ping", id=1)
PAYLOAD = REQUEST[6:]
EURO = "\u20ac".encode()
GOODBYE = frame(8, (1000).to_bytes(2, "big"))


class Verdict(NamedTuple):
    """What a server does with a case."""

    messages: int = 0
    """Messages that reach the application."""

    pongs: tuple[bytes, ...] = ()
    code: int = 1000
    """Close code that it sends; the client closes with 1000 at the end of each case."""


@dataclass(frozen=True)
class Case:
    """What a client sends, and the required result."""

    name: str
    data: bytes
    verdict: Verdict


def part(opcode: int, data: bytes) -> bytes:
    return frame(opcode, data, is_final=False)


def masked(data: bytes, mask: bytes) -> bytes:
    """Return a text frame with a mask other than zeros."""
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return bytes([0x81, 0x80 | len(data)]) + mask + hidden


def sized(length: bytes, data: bytes) -> bytes:
    """Return a text frame whose length is written as given."""
    return b"\x81" + length + bytes(4) + data


def closing(payload: bytes) -> bytes:
    return frame(8, payload)


def code(number: int) -> bytes:
    return number.to_bytes(2, "big")


def case(name: str, data: bytes, **verdict: object) -> Case:
    return Case(name, data, Verdict(**verdict))  # type: ignore[arg-type]


def wrong(name: str, data: bytes, number: int = PROTOCOL_ERROR) -> Case:
    return case(name, data, code=number)


RFC_CODES = 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011
CODES = *RFC_CODES, 3000, 3999, 4000, 4999
CLOSES = {f"7.4 close code {number}" for number in CODES}
LONG = b'{"type":"ping","id":1,"x":"%b"}'

CASES = [
    case("5.6 a text", REQUEST, messages=1),
    case("5.6 a binary message", frame(2, PAYLOAD), messages=1),
    case("5.6 three messages in a packet", REQUEST * 3, messages=3),
    case("5.3 a mask", masked(PAYLOAD, b"\x01\xff\x80\x7f"), messages=1),
    wrong("5.1 no mask", b"\x81\x02{}"),
    wrong("5.1 a ping without a mask", b"\x89\x00"),
    *(
        case(
            f"5.2 a length of {size}",
            frame(1, (LONG % (b"x" * (size - len(LONG) + 2)))),
            messages=1,
        )
        for size in (125, 126, 127, 128, 4096, 16_000)
    ),
    wrong("5.2 126 for a small length", sized(b"\xfe\x00\x7d", b"x" * 125)),
    wrong(
        "5.2 127 for a small length",
        sized(b"\xff" + bytes(6) + b"\x00\x7d", b"x" * 125),
    ),
    wrong(
        "5.2 127 for a length of two bytes",
        sized(b"\xff" + bytes(6) + b"\x01\x00", b"x" * 256),
    ),
    wrong("5.2 the highest bit of a length", sized(b"\xff\x80" + bytes(7), b"")),
    wrong("5.2 126 for no length", sized(b"\xfe\x00\x00", b"")),
    wrong("5.2 127 for 65,535", sized(b"\xff" + bytes(6) + b"\xff\xff", b"")),
    wrong("5.2 126 for a ping", b"\x89\xfe\x00\x01" + bytes(4) + b"x"),
    *(
        wrong(f"5.2 reserved bits {bits:03b}", bytes([0x81 | bits << 4]) + REQUEST[1:])
        for bits in range(1, 8)
    ),
    *(
        wrong(
            f"5.2 reserved bits {bits:03b} of a ping",
            bytes([0x89 | bits << 4, 128, 0, 0, 0, 0]),
        )
        for bits in (1, 2, 4)
    ),
    *(
        wrong(f"5.2 reserved opcode {opcode}", frame(opcode, b""))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    case("5.4 two fragments", part(1, PAYLOAD[:5]) + frame(0, PAYLOAD[5:]), messages=1),
    case(
        "5.4 a fragment for each byte",
        part(1, b"") + b"".join(part(0, bytes([byte])) for byte in PAYLOAD) + frame(0),
        messages=1,
    ),
    case("5.4 empty fragments", part(1, b"") + part(0, b"") + frame(0), messages=1),
    case(
        "5.4 a ping between fragments",
        part(1, PAYLOAD[:5]) + frame(9, b"?") + frame(0, PAYLOAD[5:]),
        messages=1,
        pongs=(b"?",),
    ),
    wrong("5.4 a text between fragments", part(1, b"{") + REQUEST),
    wrong("5.4 a binary message between fragments", part(2, b"{") + frame(2, b"{}")),
    wrong("5.4 a continuation of nothing", frame(0, b"{}")),
    wrong("5.4 a fragment of nothing", part(0, b"{}")),
    case(
        "5.4 a continuation after the end",
        REQUEST + frame(0, b"{}"),
        messages=1,
        code=PROTOCOL_ERROR,
    ),
    case("5.5.2 a ping", frame(9), pongs=(b"",)),
    case("5.5.2 a ping of 125 bytes", frame(9, b"x" * 125), pongs=(b"x" * 125,)),
    case("5.5.2 pings in order", frame(9, b"1") + frame(9, b"2"), pongs=(b"1", b"2")),
    case("5.5.2 a ping that is no text", frame(9, b"\xff\xfe"), pongs=(b"\xff\xfe",)),
    case("5.5.3 a pong that nobody asked for", frame(10, b"x") + REQUEST, messages=1),
    wrong("5.5 a ping of 126 bytes", frame(9, b"x" * 126)),
    wrong("5.5 a pong of 126 bytes", frame(10, b"x" * 126)),
    wrong("5.5 a close of 126 bytes", closing(code(1000) + b"x" * 124)),
    wrong("5.5 a ping in fragments", part(9, b"x")),
    wrong("5.5 a pong in fragments", part(10, b"x")),
    wrong("5.5 a close in fragments", part(8, code(1000))),
    *(
        case(f"7.4 close code {number}", closing(code(number)), code=number)
        for number in CODES
    ),
    *(
        wrong(f"7.4 close code {number}", closing(code(number)))
        for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999)
    ),
    wrong("5.5.1 a close of one byte", closing(b"\x03")),
    case("5.5.1 a close with a reason", closing(code(1000) + EURO)),
    wrong("8.1 a reason that is no text", closing(code(1000) + b"\xff"), NOT_UTF8),
    case("5.5.1 what comes after a close", GOODBYE + REQUEST + frame(9)),
    case("8.1 a letter of three bytes", frame(1, b'"' + EURO + b'"'), messages=1),
    case(
        "8.1 a letter in two fragments",
        part(1, b'"' + EURO[:1]) + frame(0, EURO[1:] + b'"'),
        messages=1,
    ),
    case(
        "8.1 a letter in three fragments",
        part(1, b'"' + EURO[:1]) + part(0, EURO[1:2]) + frame(0, EURO[2:] + b'"'),
        messages=1,
    ),
    wrong("8.1 a byte that is no letter", frame(1, b"\xff"), NOT_UTF8),
    wrong("8.1 half a letter", frame(1, EURO[:2]), NOT_UTF8),
    wrong("8.1 half a letter in fragments", part(1, EURO[:2]) + frame(0), NOT_UTF8),
    wrong("8.1 a letter too long", frame(1, b"\xc0\x80"), NOT_UTF8),
    wrong("8.1 a surrogate", frame(1, b"\xed\xa0\x80"), NOT_UTF8),
    wrong("8.1 beyond the last letter", frame(1, b"\xf4\x90\x80\x80"), NOT_UTF8),
    case("8.1 bytes may be anything", frame(2, b"\xff"), messages=1),
]


def reference(data: bytes) -> Verdict | None:
    """Return the verdict of a strict parser; ``None``: the connection is still open."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(data)
    messages = 0
    pongs: list[bytes] = []
    try:
        for event in server.events():
            if isinstance(event, Message):
                messages += event.message_finished
            elif isinstance(event, Ping):
                pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                return Verdict(messages, tuple(pongs), event.code)
    except RemoteProtocolError as error:
        hint: Event | None = error.event_hint
        assert isinstance(hint, CloseConnection)
        return Verdict(messages, tuple(pongs), hint.code)
    return None


async def verdict_of(port: int, case: Case) -> Verdict:
    """Return the verdict of a server, which has to end the connection.

    The client closes once it has received what it waits for: a server need not answer
    messages that are followed by a close.
    """
    async with RawSocket(port, token=token()) as client:
        assert await client.is_open()
        client.send(case.data)
        stream = StreamReader()
        messages = close = 0
        pongs: list[bytes] = []
        is_over = reference(case.data) is not None
        async with asyncio.timeout(SECONDS):
            while not close:
                is_done = (messages, tuple(pongs)) == case.verdict[:2]
                if (is_done and not is_over) or messages > case.verdict.messages:
                    client.send(GOODBYE)
                    is_over = True
                received = await _next(client.reader, stream)
                if received is None:
                    return Verdict(messages, tuple(pongs), DROPPED)
                if received.opcode is Opcode.PONG:
                    pongs.append(bytes(received.data))
                elif received.opcode is Opcode.CLOSE:
                    close = Close.parse(bytes(received.data)).code
                else:
                    messages += 1
            client.send(closing(code(close)))
            # It closes the connection first: section 7.1.1.
            with suppress(ConnectionError):
                await client.reader.read()
    return Verdict(messages, tuple(pongs), close)


async def _next(reader: asyncio.StreamReader, stream: StreamReader) -> Frame | None:
    """Return the next frame; ``None``: there is none, the connection has ended."""
    steps = Frame.parse(stream.read_exact, mask=False)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Frame = end.value
            return found
        try:
            data = await reader.read(4096)
        except ConnectionError:
            return None
        if not data:
            return None
        stream.feed_data(data)


def test_no_case_is_listed_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_strict_parser_agrees_with_the_table(case: Case) -> None:
    assert reference(case.data + GOODBYE) == case.verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_server_agrees_with_the_table(port: int, case: Case) -> None:
    verdict = await verdict_of(port, case)

    if case.name in CLOSES:
        # A server need not repeat the client's code: section 5.5.1.
        assert verdict.code in {case.verdict.code, 1000}
    elif case.verdict.code == 1000:
        assert verdict == case.verdict
    else:
        # Autobahn fails a connection without a close frame: section 7.1.7.
        assert verdict.code in {case.verdict.code, DROPPED}


class StrictClient(RawConnection):
    """A client that ends the test with any violation of the protocol."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.conn = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.say(Request(f"127.0.0.1:{self._port}", "/v1/websocket", subprotocols=[V1]))
        accepted = await self.next()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == V1
        return self

    def say(self, event: Event) -> None:
        """Send an event of the strict parser."""
        self.send(self.conn.send(event))

    async def ask(self, **fields: object) -> str:
        """Send a request in two fragments; return the text that answers it."""
        text = json.dumps(fields)
        self.say(TextMessage(text[:5], message_finished=False))
        self.say(TextMessage(text[5:]))
        answer = await self.next()
        assert isinstance(answer, TextMessage)
        assert answer.message_finished
        return answer.data

    async def next(self) -> Event:
        """Return the next event of the strict parser."""
        async with asyncio.timeout(SECONDS):
            while not self.events:
                self.conn.receive_data(await self.reader.read(65_536) or None)
                self.events += self.conn.events()
        return self.events.pop(0)


@pytest.mark.parametrize("size", [125, 126, 127, 128])
async def test_a_strict_client_reads_an_answer_of_any_size(
    port: int, size: int
) -> None:
    async with StrictClient(port) as client:
        await client.ask(type="connect", id=1, token=token())
        shortest = len(await client.ask(type="ping", id=""))
        # An id has 64 characters at most; this one has some that are written as six.
        long, short = divmod(size - shortest, 6)
        answer = await client.ask(type="ping", id="\u00e9" * long + "x" * short)

    assert len(answer) == size


async def test_a_strict_client_reads_messages_and_pongs_and_a_close(port: int) -> None:
    name, data = f"strict-{port}", {"x": "\u20ac" * 1300}
    async with StrictClient(port) as client:
        await client.ask(type="connect", id=1, token=token())
        await client.ask(type="subscribe", id=2, stream=name, mode="open_or_create")
        frames = {await client.ask(type="publish", id=3, stream=name, data=data)}
        other = await client.next()
        assert isinstance(other, TextMessage)
        frames.add(other.data)
        client.say(Ping(b"\xff" * 125))
        pong = await client.next()
        client.say(CloseConnection(1000, "over"))
        close = await client.next()
        end = await client.end()

    assert {json.loads(frame)["type"] for frame in frames} == {"published", "message"}
    assert isinstance(pong, Pong)
    assert bytes(pong.payload) == b"\xff" * 125
    assert isinstance(close, CloseConnection)
    assert (close.code, end) == (1000, b"")
