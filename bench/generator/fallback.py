"""The load generator in Python, for machines without a C compiler; much slower.

It takes the same configuration and commands as ``generator.c``, which documents them.
Its ceiling is part of the results, as with the C version.
"""

import json
import os
import selectors
import sys
import time
from collections import Counter
from typing import Any

from .connection import STAMP_BYTES, Connection

COUNTS = (
    *("published", "replies", "errors", "expected", "received", "gaps"),
    *("duplicates", "opened", "failed", "closed"),
)


class Generator:
    """All connections on one selector, with their counts."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.address = (config["host"], int(config["port"]))
        self.selector = selectors.DefaultSelector()
        self.counts: Counter[str] = Counter()
        self.latency: Counter[int] = Counter()
        self.reply_latency: Counter[int] = Counter()
        self.numbers: Counter[tuple[int, int]] = Counter()
        self.mode, self.value = "stop", 0.0
        self.due = self.forgiven = self.seen = self.progress = self.turn = 0
        streams, stalled = int(config["streams"]), int(config["stalled"])
        self.publishers = [
            Connection(self, stream=0, publisher=number)
            for number in range(int(config["publishers"]))
        ]
        self.subscribers = [
            Connection(self, stream=number % streams, publisher=-1)
            for number in range(int(config["subscribers"]))
        ]
        for subscriber in self.subscribers[:stalled]:
            subscriber.is_stalled = True
        self.healthy = Counter(
            subscriber.stream for subscriber in self.subscribers[stalled:]
        )

    def run(self) -> None:
        began = time.monotonic()
        # Publishers last: a server may end an HTTP connection that says nothing.
        everybody = [*self.subscribers, *self.publishers]
        for connection in everybody:
            connection.start()
            self.look(0)
        while self.counts["opened"] + self.counts["failed"] < len(everybody):
            self.look(0.1)
        opened, failed = self.counts["opened"], self.counts["failed"]
        seconds = time.monotonic() - began
        write({"ready": opened, "failed": failed, "seconds": seconds})
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while self.mode != "quit":
            self.look(0 if self.mode != "stop" else 0.1)
            self.publish_some(time.monotonic_ns())

    def look(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            if isinstance(key.data, Connection):
                key.data.readable()
            else:
                for line in os.read(key.fd, 4096).decode().splitlines() or ["quit"]:
                    self.command(*line.split())

    def command(self, word: str, value: str = "0") -> None:
        if word == "snap":
            self.snapshot()
            return
        self.mode, self.value = word, float(value)
        self.due = self.progress = time.monotonic_ns()

    def publish_some(self, now: int) -> None:
        if self.mode == "rate" and now >= self.due:
            self.publish(self.publishers[self.turn % len(self.publishers)], now)
            self.due = max(self.due + int(1e9 / self.value), now - 1_000_000_000)
        elif self.mode == "window" and self.has_room(now):
            self.publish(self.publishers[self.turn % len(self.publishers)], now)
        elif self.mode == "replies":
            for publisher in self.publishers:
                if len(publisher.sent_at) < self.value:
                    self.publish(publisher, now)

    def has_room(self, now: int) -> bool:
        received = self.counts["received"]
        if received != self.seen:
            self.seen, self.progress = received, now
        missing = self.counts["expected"] - received
        if now - self.progress > 1_000_000_000:
            self.forgiven, self.progress = missing, now
        return missing - self.forgiven < self.value * self.healthy.total()

    def publish(self, publisher: Connection, now: int) -> None:
        stream = self.turn % len(self.config["template"])
        at, text = self.config["template"][stream]
        number = self.numbers[publisher.publisher, stream]
        stamp = f"~#{publisher.publisher:02d}:{number:010d}:{now:018d}".encode()
        self.numbers[publisher.publisher, stream] += 1
        self.turn += 1
        publisher.sent_at.append(now)
        self.counts["published"] += 1
        self.counts["expected"] += self.healthy[stream]
        publisher.socket.sendall(text[:at] + stamp + text[at + STAMP_BYTES :])

    def snapshot(self) -> None:
        write(
            {name: self.counts[name] for name in COUNTS}
            | {"now": time.monotonic(), "cpu": time.process_time()}
            | {"latency": list(self.latency.items())}
            | {"reply_latency": list(self.reply_latency.items())}
        )


def write(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def unhex(text: str) -> bytes:
    return b"" if text == "-" else bytes.fromhex(text)


def configuration() -> dict[str, Any]:
    config: dict[str, Any] = {"sub_step": {}, "pub_step": [], "template": {}}
    config["auto"], config["ack_frame"] = [], []
    while (line := os_line()) != "end":
        match line.split():
            case ["sub_step", stream, *step]:
                config["sub_step"].setdefault(int(stream), []).append(
                    tuple(map(unhex, step))
                )
            case ["pub_step" | "auto" | "ack_frame" as key, *step]:
                config[key].append(tuple(map(unhex, step)))
            case ["template", stream, at, text]:
                config["template"][int(stream)] = (int(at), unhex(text))
            case ["reply" | "error" as key, text]:
                config[key] = unhex(text)
            case ["ack", needle, length]:
                config["ack"] = unhex(needle), int(length)
            case [key, value]:
                config[key] = value
    return config


def os_line() -> str:
    """Read a line without reading ahead, since commands follow on this descriptor."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            sys.exit("no configuration")
        line += byte
    return line.decode().strip()


if __name__ == "__main__":
    Generator(configuration()).run()
