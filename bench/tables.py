"""The tables of docs/performance.md, from the results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from .measured import Cell, Results
from .scenarios.publish import FULL_RATE, LISTENERS
from .scenarios.stalled import SUBSCRIBERS

LINE_LENGTH = 118

Columns = Mapping[str, tuple[str, ...]]
"""Case, and a field if it is not the median, by heading."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Some cases of a scenario: a row for each contender, a column for each case."""

    scenario: str
    heading: str
    transport: str
    """How subscribers and publishers are connected, and what the figures mean."""

    columns: Columns


_BESIDE = f"beside {LISTENERS} subscribers at {FULL_RATE}/s"
_FIVE = "5000 subscribers"
_IDLE = "5000 connections"
_ALL, _ONE = (f"{count} of {SUBSCRIBERS} stalled" for count in (0, 1))

TABLES = [
    Table(
        scenario="headline",
        heading="Subscribers at the full rate",
        transport="Subscribers over WebSocket: the JSON socket, Twilsock for "
        "`twilsock-…`, the peer's own protocol. Published over the same kind of "
        "socket.",
        columns={"1 Stream": ("1 Stream",), "100 Streams": ("100 Streams",)},
    ),
    Table(
        scenario="rest",
        heading="Subscribers at the full rate, published over HTTP",
        transport="Subscribers over WebSocket: the JSON socket, or the peer's own "
        "protocol. Published over HTTP (this app: REST), on 8 connections for 1 Stream "
        "and 64 for 100.",
        columns={
            "1 Stream": ("1 Stream, over REST",),
            "100 Streams": ("100 Streams, over REST",),
        },
    ),
    Table(
        scenario="sse",
        heading="Subscribers at the full rate, Server-Sent Events",
        transport="Subscribers over Server-Sent Events on HTTP/1.1, published over "
        "HTTP on 8 connections.",
        columns={
            "1 Stream": ("1 Stream",),
            "p50 ms": ("1 Stream", "p50"),
            "p99 ms": ("1 Stream", "p99"),
        },
    ),
    Table(
        scenario="fanout",
        heading="Delivery",
        transport="Published as subscribers are connected: over the socket, or over "
        "HTTP for Server-Sent Events.",
        columns={
            "deliveries/s a core": ("1000 subscribers", "per_core"),
            "× tutorial": ("1000 subscribers", "ratio"),
            "at 5,000": (_FIVE, "per_core"),
            "publish p50 ms at 1": ("publish to 1 subscriber at 30/s",),
            "p50 ms at 5,000": (f"publish to {_FIVE} at 30/s",),
        },
    ),
    Table(
        scenario="publish",
        heading="Publishing, a second",
        transport="One subscriber over WebSocket. A socket has 32 publishes under "
        "way, an HTTP connection one.",
        columns={
            "socket, 1": ("socket, 1 publisher",),
            "socket, 8": ("socket, 8 publishers",),
            "HTTP, 1": ("REST, 1 publisher",),
            "HTTP, 8": ("REST, 8 publishers",),
            "HTTP, 64": ("REST, 64 publishers",),
            "HTTP, 1: p50 ms": ("REST, 1 publisher", "p50"),
        },
    ),
    Table(
        scenario="publish",
        heading=f"Publishing over HTTP beside {LISTENERS:,} subscribers",
        transport="Subscribers over WebSocket, on one Stream at its full rate, "
        f"{FULL_RATE} publishes a second. Milliseconds until a publish is answered.",
        columns={
            "8 publishers: p50": (f"REST, 8 publishers {_BESIDE}", "p50"),
            "8 publishers: p99": (f"REST, 8 publishers {_BESIDE}", "p99"),
            "64 publishers: p50": (f"REST, 64 publishers {_BESIDE}", "p50"),
            "64 publishers: p99": (f"REST, 64 publishers {_BESIDE}", "p99"),
        },
    ),
    Table(
        scenario="idle",
        heading="Connections",
        transport="5,000 connections over WebSocket, or Server-Sent Events for "
        "`eventstream-…`, each with a subscription.",
        columns={
            "KB each": (f"{_IDLE}: memory",),
            "opened/s": (f"{_IDLE}: opening",),
        },
    ),
    Table(
        scenario="stalled",
        heading="A subscriber that stops reading",
        transport=f"{SUBSCRIBERS:,} subscribers over WebSocket, or Server-Sent Events "
        "for `sse-…` and `eventstream-…`; 10 Messages of 4 KB a second. Without and "
        "with one subscriber that reads nothing: p99 of the others, in ms, and how "
        "fast the server's memory grows.",
        columns={
            "p99, all read": (f"{_ALL}: p99 of the others",),
            "p99, one does not": (f"{_ONE}: p99 of the others",),
            "KB/s, all read": (f"{_ALL}: growth of the server",),
            "KB/s, one does not": (f"{_ONE}: growth of the server",),
        },
    ),
    Table(
        scenario="start",
        heading="Start, in ms",
        transport="From the start of the process until it listens, then two publishes "
        "over HTTP.",
        columns={
            "listens": ("until it listens",),
            "first publish": ("first publish over REST",),
            "second publish": ("second publish over REST",),
        },
    ),
    Table(
        scenario="workers",
        heading="Workers, deliveries/s with a core each",
        transport="Subscribers and publishers over the JSON socket; processes joined "
        "by Redis.",
        columns={"1 worker": ("1 worker",), "2 workers": ("2 workers",)},
    ),
    Table(
        scenario="layers",
        heading="Channel layers on Redis",
        transport="The layers alone, without connections: `sync_streams.layers` and "
        "the pub/sub layer of channels-redis. CPU is in µs a Message; `product-frames` "
        "is two workers that are published to over 16 sockets.",
        columns={
            "CPU, 1 publish at once": ("publish, 1 at once",),
            "8 at once": ("publish, 8 at once",),
            "64 at once": ("publish, 64 at once",),
            "receive": ("receive",),
            "8 at once, 1 ms away: publishes/s": ("publish, 8 at once, 1 ms away",),
            "64 at once, 1 ms away: publishes/s": ("publish, 64 at once, 1 ms away",),
            "publishes/s a core": ("2 workers, 16 sockets",),
        },
    ),
]


def figures(results: Results) -> Iterator[str]:
    """Yield what was run, every table that has figures, and the goals."""
    yield from _facts(results)
    for table in TABLES:
        rows = list(rendered(results, table))
        if rows:
            note = wrap(table.transport, LINE_LENGTH, break_on_hyphens=False)
            yield from ("", f"### {table.heading}", "", *note, "", *rows)
    yield from ("", "### Goals", "")
    for scenario, run in results.runs.items():
        yield from (f"- {scenario}, {goal}" for goal in run.get("goals", ()))


def _facts(results: Results) -> Iterator[str]:
    for scenario, run in results.runs.items():
        machine = run["machine"]
        yield (
            f"- {scenario}: `{run['command']}`, {results.date(scenario)}, "
            f"{machine['cpu']}, {machine['cores']} cores, Linux "
            f"{machine['kernel']}, Python {machine['python']}"
        )


def rendered(results: Results, table: Table) -> Iterator[str]:
    """Yield a table as Markdown, without columns and rows that have no figure."""
    columns = {
        name: results.cell(table.scenario, *column)
        for name, column in table.columns.items()
    }
    shown = {
        name: cell
        for name, cell in columns.items()
        if any(map(cell, results.contenders))
    }
    if shown:
        yield from _lines(results.contenders, shown)


def _lines(contenders: Sequence[str], columns: Mapping[str, Cell]) -> Iterator[str]:
    yield line(["", *columns])
    yield line(["---", *("---:" for _ in columns)])
    for contender in contenders:
        cells = [column(contender) for column in columns.values()]
        if any(cells):
            yield line([contender, *cells])


def line(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
