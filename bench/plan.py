"""Plan: how thoroughly to measure, which contenders, and how to run one trial."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from . import machine
from .contenders import CONTENDERS, Contender, MakeDialect
from .generator import Generator, GeneratorFailed, Load, Measurement, measure
from .process import Server, ServerFailed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The options of one run of the benchmark."""

    repeats: int = 3
    seconds: float = 3.0
    """Length of one measurement."""

    warm_up: float = 1.0
    only: Sequence[str] = ()
    """Names of contenders; empty means all."""

    quick: bool = False
    patience: float = 20.0
    """Maximum seconds to wait for the server's core to be idle."""

    redis_url: str = ""
    skipped: set[str] = field(default_factory=set)

    def contenders(self, *groups: str) -> Iterator[Contender]:
        """Yield the requested contenders that can run here; print those that cannot."""
        for contender in CONTENDERS:
            if self.only and contender.name not in self.only:
                continue
            if groups and contender.group not in groups:
                continue
            if not self._is_missing(contender):
                yield contender

    def trial(
        self,
        contender: Contender,
        load: Load,
        *orders: str,
        dialect: MakeDialect | None = None,
    ) -> list[Measurement]:
        """Start a server, run the commands one after another, and stop it.

        Returns one measurement per command, or none if the contender failed.
        """
        try:
            with self.running(contender, load, dialect=dialect) as (server, generator):
                return [self._follow(server, generator, order) for order in orders]
        except (ServerFailed, GeneratorFailed) as error:
            print(f"  {contender.name}: {error}", flush=True)
            return []

    def repeat(
        self,
        contender: Contender,
        load: Load,
        *orders: str,
        dialect: MakeDialect | None = None,
    ) -> list[list[Measurement]]:
        """Repeat a trial; return the measurements grouped by command."""
        trials = [
            trial
            for _ in range(self.repeats)
            if (trial := self.trial(contender, load, *orders, dialect=dialect))
        ]
        return [[trial[number] for trial in trials] for number in range(len(orders))]

    @contextmanager
    def running(
        self,
        contender: Contender,
        load: Load,
        *,
        dialect: MakeDialect | None = None,
    ) -> Iterator[tuple[Server, Generator]]:
        """Run a fresh server and the load generator with its connections open."""
        spoken = (dialect or contender.dialect)(load.streams, load.size)
        redis_url = self.redis_url if contender.needs_redis else ""
        machine.wait_until_quiet(self.patience)
        with contender.start(redis_url) as server:
            try:
                with Generator(spoken, load, port=server.port) as generator:
                    yield server, generator
            except GeneratorFailed as error:
                raise GeneratorFailed(f"{error}\n{server.printed()}") from error

    def _follow(self, server: Server, generator: Generator, order: str) -> Measurement:
        generator.tell(order)
        return measure(
            generator, server.pids, warm_up=self.warm_up, seconds=self.seconds
        )

    def _is_missing(self, contender: Contender) -> bool:
        why = contender.missing()
        if contender.needs_redis and not self.redis_url:
            why = "needs redis-server"
        if why and contender.name not in self.skipped:
            self.skipped.add(contender.name)
            print(f"skipped: {contender.name}: {why}", flush=True)
        return bool(why)
