"""Drives the load generator process: configuration and commands in, counts out.

Configuration lines are ``key value …`` with bytes in hex, ended by ``end``. Commands:
``rate R`` (Messages a second), ``window W`` (W Messages per Stream in flight until
every subscriber has them), ``replies W`` (W requests per publisher in flight),
``stop``, ``snap`` (answered with one line of JSON), ``quit``.
"""

import json
import os
import select
import subprocess
import time
from dataclasses import dataclass
from typing import Self

from bench import machine, wire
from bench.dialects import Dialect

from .build import command
from .counts import Measurement, Snapshot

DRAIN_SECONDS = 5.0
OPEN_SECONDS = 90.0
ANSWER_SECONDS = 20.0
SETTLE_SECONDS = 0.3
"""For servers that confirm a subscription before it has taken effect."""


class GeneratorFailed(Exception):
    """The load generator could not open its connections, or exited."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load to generate."""

    subscribers: int
    streams: int = 1
    publishers: int = 1
    stalled: int = 0
    """Number of subscribers that never read."""

    size: int = wire.DATA_BYTES
    """Size of one Message's data in bytes."""


class Generator:
    """The load generator process; its connections are open from enter to exit."""

    def __init__(self, dialect: Dialect, load: Load, *, port: int) -> None:
        self.dialect = dialect
        self.load = load
        self.port = port

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        os.sched_setaffinity(self.process.pid, machine.cores()[1])
        self._buffer = b""
        try:
            self._write("\n".join(self._configuration()) + "\nend\n")
            self.opened = json.loads(self._read_line(OPEN_SECONDS))
            if self.opened["failed"]:
                raise GeneratorFailed(f"connections refused: {self.opened}")
            time.sleep(SETTLE_SECONDS)
            self.settled = self.snapshot()
            """Counts at the last time when nothing was in flight."""
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def tell(self, command: str) -> None:
        """Send a command that has no reply."""
        self._write(command + "\n")

    def snapshot(self) -> Snapshot:
        """Return the counts so far."""
        self._write("snap\n")
        return Snapshot.parse(self._read_line(ANSWER_SECONDS))

    def drain(self) -> Snapshot:
        """Stop publishing; return the counts once nothing more is expected."""
        self.tell("stop")
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            last = self.snapshot()
            done = last.counts["received"] >= last.counts["expected"]
            if done or time.monotonic() > deadline:
                self.settled = last
                return last
            time.sleep(0.05)

    def _configuration(self) -> list[str]:
        dialect, load = self.dialect, self.load
        lines = [
            "host 127.0.0.1",
            f"port {self.port}",
            f"streams {load.streams}",
            f"subscribers {load.subscribers}",
            f"publishers {load.publishers if dialect.templates else 0}",
            f"stalled {load.stalled}",
            "concurrency 32",
            f"sub_framing {dialect.subscriber_framing}",
            f"pub_framing {dialect.publisher_framing}",
            f"reply {_hex(dialect.reply)}",
            f"error {_hex(dialect.error)}",
        ]
        for stream, steps in dialect.subscribe.items():
            for sent, awaited in steps:
                lines.append(f"sub_step {stream} {_hex(sent)} {_hex(awaited)}")
        for sent, awaited in dialect.publisher:
            lines.append(f"pub_step {_hex(sent)} {_hex(awaited)}")
        for stream, text in dialect.templates.items():
            lines.append(f"template {stream} {text.index(wire.STAMP)} {_hex(text)}")
        for trigger, answer in dialect.autos:
            lines.append(f"auto {_hex(trigger)} {_hex(answer)}")
        if ack := dialect.acknowledgement:
            lines.append(f"ack {_hex(ack.needle)} {ack.length}")
            lines.append(f"ack_frame {_hex(ack.head)} {_hex(ack.tail)}")
        return lines

    def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._stdin, data) :]

    @property
    def _stdin(self) -> int:
        assert self.process.stdin is not None
        return self.process.stdin.fileno()

    def _read_line(self, seconds: float) -> bytes:
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            ready = select.select([output], [], [], max(0, left))[0]
            chunk = os.read(output, 65_536) if ready else b""
            if not chunk:
                raise GeneratorFailed("no answer" if not ready else "went away")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _end(self) -> None:
        self.process.kill()
        self.process.wait(5)


def measure(
    generator: Generator, pids: list[int], *, warm_up: float, seconds: float
) -> Measurement:
    """Measure the generator for a while, then stop and drain it."""
    (core,) = machine.cores()[0]
    time.sleep(warm_up)
    cpu, busy = machine.cpu_seconds(pids), machine.busy_seconds(core)
    before = generator.snapshot()
    time.sleep(seconds)
    after = generator.snapshot()
    cpu, busy = machine.cpu_seconds(pids) - cpu, machine.busy_seconds(core) - busy
    result = Measurement.between(before, after)
    result.server_cpu = cpu / result.seconds
    result.foreign_cpu = max(0.0, busy - cpu) / result.seconds
    settled = generator.settled
    result.account(settled, generator.drain())
    return result


def _hex(data: bytes) -> str:
    return data.hex() or "-"
