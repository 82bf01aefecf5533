"""Listing: which connections there are, asked of every process when somebody looks."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import TypedDict

from . import survey

ASKED = "connections.asked"

MAX_ROWS = 200
"""Connections that one process describes, and that one answer holds, at most."""


class Wanted(TypedDict, total=False):
    """What a connection must be to be listed; an empty text asks for nothing."""

    service_sid: str
    stream_sid: str
    """It is subscribed to this Stream."""

    identity: str
    """Text that its identity holds, in whatever case."""

    process: str
    address: str
    """Beginning of its client's address."""


class Row(TypedDict):
    """One connection."""

    id: str
    process: str
    service_sid: str
    identity: str
    address: str
    protocol: str
    client: str
    """What its client calls itself: nobody checks it."""

    since: float
    """When it began, in seconds since 1970."""

    subscriptions: int
    round_trip_ms: int
    """Of the acknowledgement that was timed last; -1: none was."""

    unacknowledged: int
    """Messages that its client has still to acknowledge."""

    dropped: int
    is_observer: bool


@dataclass(frozen=True, slots=True)
class Connections:
    """What the processes answered, newest first."""

    rows: list[Row]
    total: int
    """How many connections match, those that are left out included."""

    processes: list[str]
    """Who answered."""


def ask(wanted: Wanted) -> Connections:
    """Ask every process for its newest connections, from synchronous code.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    answers = survey.ask({"type": ASKED, "wanted": dict(wanted)})
    rows = (row for answer in answers.values() for row in answer["rows"])
    total = sum(answer["total"] for answer in answers.values())
    return Connections(newest(rows), total, sorted(answers))


def newest(rows: Iterable[Row]) -> list[Row]:
    """Return the newest of the rows, :data:`MAX_ROWS` at most, newest first."""
    return nlargest(MAX_ROWS, rows, key=lambda row: (row["since"], row["id"]))
