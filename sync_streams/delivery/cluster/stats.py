"""Stats: what every process reports of itself when somebody asks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import Hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.redis.rate_limit import refusals

from . import survey
from .event_loop import run_on_loop

ASKED = "stats.asked"

MAX_BUSIEST = 1000
"""Streams that one process names when it is asked for its busiest."""


figures: dict[str, Callable[[], int]] = {
    "delivered": lambda: counters.delivered,
    "dropped": lambda: counters.dropped,
    "acknowledged": lambda: counters.acknowledged,
}
"""What a process reports of itself, by name; ``wiring`` adds to it."""


@dataclass(slots=True)
class Stats:
    """What the processes answered, added up."""

    subscribers: dict[str, int] = field(default_factory=dict)
    """Connections subscribed, by SID of the Stream."""

    refused: dict[str, int] = field(default_factory=dict)
    """Messages refused for their rate (54009), by SID, since the processes started."""

    processes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Who answered, as ``host:process id``, and what each told of itself."""

    @property
    def dropped(self) -> int:
        """Messages of all Streams dropped because a connection read too slowly."""
        return sum(figures["dropped"] for figures in self.processes.values())

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add what one process answered."""
        for name in ("subscribers", "refused"):
            total = getattr(self, name)
            for stream_sid, count in answer[name].items():
                total[stream_sid] = total.get(stream_sid, 0) + count
        self.processes[answer["process"]] = answer["figures"]


async def aask(stream_sids: Iterable[str] | None = None) -> Stats:
    """Ask every process about the Streams; without any, about its busiest ones.

    Takes :data:`.survey.GATHER_SECONDS`. A process without a hub does not answer, one
    that answers late is not counted, and if the layer fails, none is.
    """
    stats = Stats()
    sids = None if stream_sids is None else list(stream_sids)
    try:
        answers = await survey.aask({"type": ASKED, "stream_sids": sids})
    except ServiceUnavailable:
        return stats
    for answer in answers.values():
        stats.add(answer)
    return stats


def ask(stream_sids: Iterable[str] | None = None) -> Stats:
    """Do as :func:`aask` does, from synchronous code of any thread."""
    return run_on_loop(aask(stream_sids))


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Answer a question of :func:`aask` for this process, if it has connections."""
    if not hub.is_serving:
        return
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
        figures={name: count() for name, count in figures.items()},
    )
