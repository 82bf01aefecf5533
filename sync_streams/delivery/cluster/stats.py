"""Stats: what every process reports of itself when somebody asks."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_streams import __version__
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.per_loop import PerLoop
from sync_streams.redis.rate_limit import refusals

from . import survey, vitals
from .event_loop import run_on_loop
from .history import SAMPLE_SECONDS, History, Report, merge

ASKED = "stats.asked"

MAX_BUSIEST = 1000
"""Streams that one process names when it is asked for its busiest."""


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
"""What a process reports of itself, by name; ``wiring`` adds to it."""

history = History()
"""The last hour of this process."""


@dataclass(slots=True)
class Stats:
    """What the processes answered, added up."""

    subscribers: dict[str, int] = field(default_factory=dict)
    """Connections subscribed, by SID of the Stream."""

    refused: dict[str, int] = field(default_factory=dict)
    """Messages refused for their rate (54009), by SID, since the processes started."""

    processes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Who answered, as ``host:process id``, and what each told of itself."""

    versions: dict[str, str] = field(default_factory=dict)
    """Version of the app, by process."""

    histories: list[Report] = field(default_factory=list)
    """Those of the processes, if they were asked for."""

    silent: dict[str, int] = field(default_factory=dict)
    """Processes that answered before and not now, and how many seconds ago."""

    is_layer_reachable: bool = True
    """Whether the question could be asked."""

    def total(self, name: str) -> int:
        """Return a figure, added up over the processes."""
        return sum(figures.get(name, 0) for figures in self.processes.values())

    @property
    def last_hour(self) -> dict[str, list[int]]:
        """The histories, added up; see :func:`.history.merge`."""
        return merge(self.histories)

    @property
    def dropped(self) -> int:
        """Messages of all Streams dropped because a connection read too slowly."""
        return self.total("dropped")

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add what one process answered."""
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
    """Ask every process about the Streams; without any, about its busiest ones.

    Takes :data:`.survey.GATHER_SECONDS`. A process without a hub does not answer, one
    that answers late is not counted, and if the layer fails, none is.
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
    """Do as :func:`aask` does, from synchronous code of any thread."""
    return run_on_loop(
        aask(stream_sids, with_history=with_history, is_patient=is_patient)
    )


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Answer a question of :func:`aask` for this process."""
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
    """Take samples on the running event loop from now on; once for each."""
    _samplers.get()


async def _sample_for_ever() -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS - time.time() % SAMPLE_SECONDS)
        history.take({name: count() for name, count in figures.items()})


_samplers = PerLoop(lambda: asyncio.create_task(_sample_for_ever()))
