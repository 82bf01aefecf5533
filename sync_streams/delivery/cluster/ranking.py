"""Ranking: the Streams and Services with most Messages a second in all processes.

Each process remembers how many Messages it published in each of the last 60 minutes,
for the SIDs that were busiest in that minute; nothing is stored.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Literal, get_args

from sync_streams.delivery.counters import published_by_service, published_rates
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.values.rates import Rates

from . import survey
from .event_loop import run_on_loop

ASKED = "ranking.asked"

MINUTES = 60
MAX_KEPT = 200
"""Maximum number of SIDs in one minute of a history, and in one reply."""

MAX_CANDIDATES = 50
"""Maximum number of SIDs to request a history for."""

Kind = Literal["streams", "services"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One Stream or Service."""

    sid: str
    rate: float
    """Messages per second, over about the last 5 s."""

    last_hour: list[float]
    """Messages per second in each of the last :data:`MINUTES`, oldest first; 0 if it
    was not among the :data:`MAX_KEPT` busiest of a process."""


Ranking = dict[Kind, list[Ranked]]


class Minutes:
    """How many Messages were published in each minute to the busiest SIDs."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.time) -> None:
        self.rates = rates
        self._clock = clock
        self._counts: deque[dict[str, int]] = deque(maxlen=MINUTES)
        self._newest = 0

    def take(self) -> None:
        """Count the minute that has ended, unless it was counted before."""
        minute = int(self._clock() // 60) - 1
        if not self._newest:
            self._newest = minute
        missed = min(minute - self._newest, MINUTES) - 1
        if missed < 0:
            return
        self._counts.extend({} for _ in range(missed))
        counts = self.rates.take()
        busiest = nlargest(MAX_KEPT, counts, key=counts.__getitem__)
        self._counts.append({sid: counts[sid] for sid in busiest})
        self._newest = minute

    def report(self, sids: list[str]) -> dict[str, Any]:
        """Return the number of the newest minute since 1970, and counts by SID."""
        counts = {sid: [minute.get(sid, 0) for minute in self._counts] for sid in sids}
        return {"newest": self._newest, "counts": counts}


minutes: dict[Kind, Minutes] = {
    "streams": Minutes(published_rates),
    "services": Minutes(published_by_service),
}
"""The last hour of this process."""


def take() -> None:
    """Count the minute that has ended."""
    for one in minutes.values():
        one.take()


async def aask(limit: int) -> Ranking:
    """Return the busiest SIDs now, busiest first; none if the layer fails.

    Takes twice :data:`.survey.GATHER_SECONDS`: it asks for candidates first, since a
    process does not report every SID that it publishes to.
    """
    try:
        found = (await survey.aask({"type": ASKED, "named": None})).values()
        named = {kind: _busiest(found, kind) for kind in KINDS}
        told = (await survey.aask({"type": ASKED, "named": named})).values()
    except ServiceUnavailable:
        return {kind: [] for kind in KINDS}
    ranking: Ranking = {}
    for kind in KINDS:
        rates = _add_rates(told, kind)
        reports = [answer["minutes"][kind] for answer in told]
        ranking[kind] = [
            Ranked(sid, round(rates[sid], 2), merge(reports, sid))
            for sid in nlargest(limit, rates, key=rates.__getitem__)
        ]
    return ranking


def ask(limit: int) -> Ranking:
    """Synchronous version of :func:`aask`, for any thread."""
    return run_on_loop(aask(limit))


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Reply for this process."""
    named, rates, reports = question["named"], {}, {}
    for kind, one in minutes.items():
        found = one.rates.per_second()
        sids = nlargest(MAX_KEPT, found, key=found.__getitem__)
        if named is not None:
            sids = named[kind]
            reports[kind] = one.report(sids)
        rates[kind] = {sid: found[sid] for sid in sids if sid in found}
    await survey.reply(question, rates=rates, minutes=reports)


def merge(reports: Iterable[Mapping[str, Any]], sid: str) -> list[float]:
    """Add up a SID's counts in the processes' reports; return Messages per second."""
    known = [(report["newest"], report["counts"].get(sid, [])) for report in reports]
    newest = max((minute for minute, _ in known), default=0)
    sums = [0] * MINUTES
    for minute, counts in known:
        for age, count in enumerate(reversed(counts), newest - minute):
            if age < MINUTES:
                sums[-1 - age] += count
    return [round(total / 60, 2) for total in sums]


def _busiest(answers: Iterable[Mapping[str, Any]], kind: Kind) -> list[str]:
    rates = _add_rates(answers, kind)
    return nlargest(MAX_CANDIDATES, rates, key=rates.__getitem__)


def _add_rates(answers: Iterable[Mapping[str, Any]], kind: Kind) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for answer in answers:
        for sid, rate in answer["rates"][kind].items():
            sums[sid] += rate
    return sums
