"""``manage.py sync_bench``: a small load check, with a histogram of latencies."""

import asyncio
import sys
from contextlib import suppress
from math import inf, log2
from secrets import token_hex
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import CommandError, CommandParser

from sync_streams import operations
from sync_streams.errors import NotFound
from sync_streams.management import load
from sync_streams.management.destination import Destination, DestinationCommand
from sync_streams.management.load import Load, Result
from sync_streams.management.sockets import Disconnected

AMOUNTS = ("streams", "subscribers", "rate", "seconds")
BAR_WIDTH = 40
LIFE_SECONDS = 600
"""TTL of the Streams, so they disappear even if the command cannot remove them."""


class Command(DestinationCommand):
    """Publishes to temporary Streams and prints the latency of deliveries."""

    help = "Publish at a steady rate to many subscribers; print latencies and losses."
    examples = """\
  manage.py sync_bench
  manage.py sync_bench --streams 10 --subscribers 500 --rate 20 --seconds 30
  manage.py sync_bench --url https://sync.example
"""

    def add_arguments(self, parser: CommandParser) -> None:
        for name, kind, default, text in (
            ("streams", int, 1, "Streams"),
            ("subscribers", int, 50, "subscribed connections"),
            ("rate", float, 10.0, "Messages a second to each Stream"),
            ("seconds", float, 5.0, "duration"),
        ):
            parser.add_argument(
                f"--{name}",
                type=kind,
                default=default,
                metavar="N",
                help=f"{text} (default: %(default)s)",
            )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        amounts = (options[name] for name in AMOUNTS)
        if not all(0 < amount < inf for amount in amounts):
            raise CommandError(f"{', '.join(AMOUNTS)} must be numbers above 0.")
        destination = Destination.read(options)
        result = Result()
        try:
            asyncio.run(self._bench(destination, options, result))
        except Disconnected as error:
            raise CommandError(f"Disconnected. {error}") from error
        finally:
            # Print partial results too, if Ctrl-C or a failure ended the run early.
            if result.published:
                self._report(result)

    async def _bench(
        self, destination: Destination, options: dict[str, Any], result: Result
    ) -> None:
        streams: list[str] = []
        try:
            for _ in range(options["streams"]):
                streams.append(await _create_stream(destination))  # noqa: PERF401
            what = Load(
                streams=streams,
                subscribers=options["subscribers"],
                rate=options["rate"],
                seconds=options["seconds"],
            )
            await load.run(what, destination, self._progress, result)
        finally:
            for sid in streams:
                await _remove_stream(destination, sid)

    def _progress(self, done: float) -> None:
        bar = ("█" if self.can_show("█") else "#") * round(done * BAR_WIDTH)
        end = "\n" if done >= 1 else ""
        if sys.stderr.isatty() or end:
            self.tell(f"\r{bar:<{BAR_WIDTH}} {done:4.0%}", ending=end)

    def _report(self, result: Result) -> None:
        lost = result.expected - len(result.latencies)
        self.stdout.write(
            f"{result.published} published, {len(result.latencies)} of "
            f"{result.expected} delivered, {lost} lost"
        )
        if result.latencies:
            shown = (f"p{p} {_ms(result.percentile(p))}" for p in (50, 95, 99))
            worst = _ms(max(result.latencies))
            self.stdout.write(f"latency {', '.join(shown)}, max {worst}")
            lines = "\n".join(histogram(result.latencies))
            if not self.can_show(lines):
                lines = lines.replace("≤", "<=").replace("█", "#")
            self.stdout.write(lines)


def histogram(latencies: list[float]) -> list[str]:
    """Return a line for each doubling of the time, with the number of deliveries."""
    counts: dict[int, int] = {}
    for seconds in latencies:
        power = max(-4, -int(-log2(max(seconds, 1e-9) * 1000) // 1))
        counts[power] = counts.get(power, 0) + 1
    most = max(counts.values())
    return [
        f"≤ {_ms(2.0**power / 1000):>10} {counts.get(power, 0):>8} "
        f"{'█' * round(BAR_WIDTH * counts.get(power, 0) / most)}".rstrip()
        for power in range(min(counts), max(counts) + 1)
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


async def _create_stream(destination: Destination) -> str:
    name = f"sync-bench-{token_hex(8)}"
    if destination.url:
        answer = await destination.post(
            "/Streams", UniqueName=name, Ttl=str(LIFE_SECONDS)
        )
        return str(answer["sid"])
    return await sync_to_async(_create_here)(destination, name)


def _create_here(destination: Destination, name: str) -> str:
    service = operations.get_service(destination.account, destination.service)
    return operations.create_stream(service, unique_name=name, ttl=LIFE_SECONDS).sid


async def _remove_stream(destination: Destination, sid: str) -> None:
    if destination.url:
        await destination.delete(f"/Streams/{sid}")
    else:
        await sync_to_async(_remove_here)(destination, sid)


def _remove_here(destination: Destination, sid: str) -> None:
    service = operations.get_service(destination.account, destination.service)
    with suppress(NotFound):
        operations.remove_stream(service, sid)
