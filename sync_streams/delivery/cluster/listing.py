"""Listing: the connections of all processes, collected on request."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import TypedDict

from . import survey

ASKED = "connections.asked"

MAX_ROWS = 200
"""Maximum number of connections in one process's reply, and in the whole result."""


class Wanted(TypedDict, total=False):
    """Filter for connections; empty text matches everything."""

    service_sid: str
    stream_sid: str
    """A Stream that it is subscribed to."""

    identity: str
    """Part of its identity, case-insensitive."""

    process: str
    address: str
    """Start of its client's address."""


class Row(TypedDict):
    """One connection."""

    id: str
    process: str
    service_sid: str
    identity: str
    address: str
    protocol: str
    client: str
    """The client's own name for itself, unverified."""

    since: float
    """When it began, in seconds since 1970."""

    subscriptions: int
    round_trip_ms: int
    """Of the acknowledgement that was timed last; -1 if none was."""

    unacknowledged: int
    """Messages that its client has not acknowledged yet."""

    dropped: int
    is_observer: bool


@dataclass(frozen=True, slots=True)
class Connections:
    """The replies of all processes, newest connection first."""

    rows: list[Row]
    total: int
    """Number of matching connections, including those left out."""

    processes: list[str]
    """The processes that replied."""


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
    """Return at most :data:`MAX_ROWS` of the rows, newest first."""
    return nlargest(MAX_ROWS, rows, key=lambda row: (row["since"], row["id"]))
