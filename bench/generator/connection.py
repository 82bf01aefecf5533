"""One connection of the Python load generator, a subscriber's or a publisher's."""

import selectors
import socket
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from .frames import answers, frames, stamps

if TYPE_CHECKING:
    from .fallback import Generator

STAMP_BYTES = 34
READ_BYTES = 262_144
PING, PONG, CLOSE = 9, 0x8A, 8


class Connection:
    """One subscriber or publisher."""

    def __init__(self, generator: "Generator", *, stream: int, publisher: int) -> None:
        self.generator, self.stream, self.publisher = generator, stream, publisher
        config = generator.config
        self.is_publisher = publisher >= 0
        side = "pub" if self.is_publisher else "sub"
        self.is_raw = config[f"{side}_framing"] == "raw"
        steps = config["pub_step"] if self.is_publisher else config["sub_step"][stream]
        self.steps: deque[tuple[bytes, bytes]] = deque(steps)
        self.buffer = bytearray()
        self.next: Counter[int] = Counter()
        self.sent_at: deque[int] = deque()
        self.is_open = self.is_stalled = False
        self.in_head = bool(steps)

    def start(self) -> None:
        self.socket = socket.create_connection(self.generator.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.generator.selector.register(self.socket, selectors.EVENT_READ, self)
        self.send_step()

    def send_step(self) -> None:
        if self.steps:
            self.socket.sendall(self.steps[0][0])
        else:
            self.is_open = True
            self.generator.counts["opened"] += 1
            if self.is_stalled:
                self.generator.selector.unregister(self.socket)

    def readable(self) -> None:
        data = self.socket.recv(READ_BYTES)
        if not data:
            self.lose()
        self.buffer += data
        if self.in_head and b"\r\n\r\n" in self.buffer:
            del self.buffer[: self.buffer.index(b"\r\n\r\n") + 4]
            self.in_head = False
            self.steps.popleft()
            self.send_step()
        if not self.in_head:
            self.read()

    def read(self) -> None:
        now = time.monotonic_ns()
        if not self.is_raw:
            for opcode, content in frames(self.buffer):
                self.frame(opcode, content, now)
        elif self.is_publisher:
            for is_good in answers(self.buffer):
                self.replied(is_good, now)
        else:
            for stamp in stamps(self.buffer, STAMP_BYTES):
                self.received(stamp, now)

    def frame(self, opcode: int, content: bytes, now: int) -> None:
        at = content.find(b"~#") if self.is_open and not self.is_publisher else -1
        self.acknowledge(content)
        if opcode == PING:
            size = len(content)
            self.socket.sendall(bytes([PONG, 0x80 | size, 0, 0, 0, 0]) + content)
        elif opcode == CLOSE:
            self.lose()
        elif at >= 0:
            for stamp in stamps(bytearray(content), STAMP_BYTES):
                self.received(stamp, now)
        elif not self.is_open and self.steps and self.steps[0][1] in content:
            self.steps.popleft()
            self.send_step()
        else:
            self.answer(content, now)

    def acknowledge(self, content: bytes) -> None:
        needle, length = self.generator.config.get("ack", (b"", 0))
        at = content.find(needle) + len(needle)
        if self.is_publisher or not needle or at < len(needle):
            return
        [(head, tail)] = self.generator.config["ack_frame"]
        self.socket.sendall(head + content[at : at + length] + tail)

    def answer(self, content: bytes, now: int) -> None:
        config = self.generator.config
        is_good = config["reply"] in content
        if self.sent_at and (is_good or config["error"] in content):
            self.replied(is_good, now)
            return
        for trigger, reply in config["auto"]:
            if trigger in content:
                self.socket.sendall(reply)
                return

    def received(self, stamp: bytes, now: int) -> None:
        counts = self.generator.counts
        publisher, number = int(stamp[2:4]), int(stamp[5:15])
        counts["received"] += 1
        if number < self.next[publisher]:
            counts["duplicates"] += 1
            return
        counts["gaps"] += number - self.next[publisher]
        self.next[publisher] = number + 1
        self.generator.latency[bucket(now - int(stamp[16:34]))] += 1

    def replied(self, is_good: bool, now: int) -> None:
        if self.sent_at:
            counts = self.generator.counts
            counts["replies"] += 1
            counts["errors"] += not is_good
            self.generator.reply_latency[bucket(now - self.sent_at.popleft())] += 1

    def lose(self) -> None:
        self.generator.counts["closed" if self.is_open else "failed"] += 1
        self.generator.selector.unregister(self.socket)
        self.socket.close()
        self.is_open = False


def bucket(nanoseconds: int) -> int:
    us = max(0, nanoseconds // 1000)
    if us < 64:
        return us
    octave = us.bit_length() - 6
    return octave * 32 + 32 + ((us >> octave) & 31)
