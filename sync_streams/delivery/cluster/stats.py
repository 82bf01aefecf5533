"""Stats: what every process reports about itself on request."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_streams import __version__
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.processes.per_loop import PerLoop
from sync_streams.redis.rate_limit import refusals

from . import ranking, survey, vitals
from .event_loop import run_on_loop
from .history import SAMPLE_SECONDS, History, Report, merge

ASKED = "stats.asked"

MAX_BUSIEST = 1000
"""Streams that one process reports when asked for its busiest ones."""


figures: dict[str, Callable[[], int]] = {
    "published": lambda: counters.published,
    "delivered": lambda: counters.delivered,
    "refused": lambda: refusals.total,
    "dropped": lambda: counters.dropped,
    "gaps": lambda: counters.gaps_told + counters.gaps_untold,
    "acknowledged": lambda: counters.acknowledged,
    "uptime_seconds": vitals.uptime_seconds,
    "memory_bytes": vitals.memory_bytes,
}
"""The figures that a process reports, by name; ``wiring`` adds to them."""

history = History()
"""The last hour of this process."""


@dataclass(slots=True)
class Stats:
    """The replies of all processes, added up."""

    subscribers: dict[str, int] = field(default_factory=dict)
    """Number of subscribed connections, by Stream SID."""

    refused: dict[str, int] = field(default_factory=dict)
    """Rate-limited Messages (54009) since the processes started, by Stream SID."""

    processes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Figures of each process that replied, by ``host:process id``."""

    versions: dict[str, str] = field(default_factory=dict)
    """Version of the app, by process."""

    histories: list[Report] = field(default_factory=list)
    """Histories of the processes, if requested."""

    silent: dict[str, int] = field(default_factory=dict)
    """Processes that replied before but not now, and how many seconds ago."""

    is_layer_reachable: bool = True
    """Whether the query could be sent."""

    def total(self, name: str) -> int:
        """Return the sum of a figure over all processes."""
        return sum(figures.get(name, 0) for figures in self.processes.values())

    @property
    def last_hour(self) -> dict[str, list[int]]:
        """The histories, added up; see :func:`.history.merge`."""
        return merge(self.histories)

    @property
    def dropped(self) -> int:
        """Messages dropped because a connection read too slowly, over all Streams."""
        return self.total("dropped")

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add the reply of one process."""
        for name in ("subscribers", "refused"):
            total = getattr(self, name)
            for stream_sid, count in answer[name].items():
                total[stream_sid] = total.get(stream_sid, 0) + count
        late = {"answered_ms": answer["answered_ms"]}
        self.processes[answer["process"]] = {**answer["figures"], **late}
        self.versions[answer["process"]] = answer["version"]
        if answer["history"] is not None:
            self.histories.append(answer["history"])


async def aask(
    stream_sids: Iterable[str] | None = None,
    *,
    with_history: bool = False,
    is_patient: bool = False,
) -> Stats:
    """Ask every process about the given Streams, or else about its busiest ones.

    Takes :data:`.survey.GATHER_SECONDS`. A process without a hub does not reply. Late
    replies are not counted; if the layer fails, none are.
    """
    stats = Stats()
    sids = None if stream_sids is None else list(stream_sids)
    try:
        question = {"type": ASKED, "stream_sids": sids, "with_history": with_history}
        answers = await survey.aask(question, is_patient=is_patient)
    except ServiceUnavailable:
        stats.is_layer_reachable = False
        return stats
    for answer in answers.values():
        stats.add(answer)
    stats.silent = survey.silent(answers)
    return stats


def ask(
    stream_sids: Iterable[str] | None = None,
    *,
    with_history: bool = False,
    is_patient: bool = False,
) -> Stats:
    """Synchronous version of :func:`aask`, for any thread."""
    return run_on_loop(
        aask(stream_sids, with_history=with_history, is_patient=is_patient)
    )


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Reply to :func:`aask` for this process."""
    sids, local = question["stream_sids"], hub.subscriptions
    subscribers = (
        local.busiest(MAX_BUSIEST)
        if sids is None
        else {sid: local.count(sid) for sid in sids}
    )
    await survey.reply(
        question,
        subscribers=subscribers,
        refused={sid: refusals.count(sid) for sid in subscribers},
        figures={
            **{name: count() for name, count in figures.items()},
            "lag_ms": max(0, round(hub.lag * 1000)),
            "unreachable": int(hub.is_unreachable),
            "serving": int(hub.is_serving),
        },
        version=__version__,
        history=history.report() if question.get("with_history") else None,
    )


def start_history() -> None:
    """Start taking samples on the running event loop, unless already started."""
    _samplers.get()


async def _sample_for_ever() -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS - time.time() % SAMPLE_SECONDS)
        history.take({name: count() for name, count in figures.items()})
        ranking.take()


_samplers = PerLoop(lambda: asyncio.create_task(_sample_for_ever()))
