"""The product's performance goals, as ratios within one run."""

from collections.abc import Iterator, Sequence
from statistics import median

from .report import number
from .rows import Row

SATURATED = "1000 subscribers"
QUICK_SATURATED = "300 subscribers"

RATIOS = [
    ("product-frames", "tutorial-daphne", 20.0),
    ("product-uvicorn", "tutorial-daphne", 12.0),
    ("product-daphne", "tutorial-daphne", 5.0),
    ("product-frames", "node-ws", 1.0),
    ("product-frames", "node-socket.io", 1.0),
    ("product-frames", "nchan", 0.6),
    ("sse-frames", "eventstream-uvicorn", 3.0),
    ("sse-frames", "sse-mercure", 1.5),
]
"""Contender, baseline, and minimum ratio of deliveries per CPU second."""

MAX_FLATNESS = 1.5
MAX_CONNECTION_KB = 20
MAX_REST_COST = 1.25
MIN_HTTP_RATIOS = {"node-ws": 1.0, "centrifugo": 0.4}
"""Publishes over HTTP, relative to peers."""

MIN_HELD_RATIO = 1.2
"""Subscribers held at the full rate over HTTP, relative to Centrifugo."""

MIN_SCALING = 1.8


def judge(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each goal that these rows cover."""
    yield from _deliveries(rows)
    for size in (300, 5000):
        yield from _flatness(rows, size)
    for name in ("frames", "uvicorn", "daphne"):
        for publishers in ("1 publisher", "8 publishers"):
            yield from _rest(rows, name, f"REST, {publishers}")
    yield from _against_peers_over_http(rows)
    yield from _scaling(rows)
    memory = _find(rows, "5000 connections: memory", "product-frames")
    if memory is not None:
        yield _line("KB a connection", memory.median, MAX_CONNECTION_KB, is_most=True)


def _deliveries(rows: Sequence[Row]) -> Iterator[str]:
    for case in (SATURATED, QUICK_SATURATED, "1 Stream", "100 Streams"):
        for who, whom, least in RATIOS:
            ratio = _ratio(rows, (case, who), (case, whom))
            if ratio is not None:
                yield _line(f"{case}: {who} / {whom}", ratio, least)


def _against_peers_over_http(rows: Sequence[Row]) -> Iterator[str]:
    for case in ("REST, 8 publishers", "REST, 64 publishers"):
        for peer, least in MIN_HTTP_RATIOS.items():
            ratio = _ratio(rows, (case, "product-frames"), (case, peer))
            if ratio is not None:
                yield _line(f"{case}: product-frames / {peer}", ratio, least)
    held = "1 Stream, over REST"
    ratio = _ratio(rows, (held, "product-frames"), (held, "centrifugo"))
    if ratio is not None:
        yield _line(f"{held}: product-frames / centrifugo", ratio, MIN_HELD_RATIO)


def _scaling(rows: Sequence[Row]) -> Iterator[str]:
    for who in ("product-frames", "product-uvicorn"):
        ratio = _ratio(rows, ("2 workers", who), ("1 worker", who), "values")
        if ratio is not None:
            yield _line(f"2 workers / 1 worker: {who}", ratio, MIN_SCALING)


def _flatness(rows: Sequence[Row], size: int) -> Iterator[str]:
    many = f"publish to {size} subscribers at 30/s"
    for who in ("product-frames", "product-uvicorn", "product-daphne"):
        one = ("publish to 1 subscriber at 30/s", who)
        ratio = _ratio(rows, (many, who), one, "values")
        if ratio is not None:
            what = f"publish p50 at {size} / at 1: {who}"
            yield _line(what, ratio, MAX_FLATNESS, is_most=True)


def _rest(rows: Sequence[Row], name: str, case: str) -> Iterator[str]:
    cost = _ratio(rows, (case, f"empty-view-{name}"), (case, f"product-{name}"))
    if cost is not None:
        what = f"{case}: product-{name} / empty view, cost"
        yield _line(what, cost, MAX_REST_COST, is_most=True)


def _ratio(
    rows: Sequence[Row],
    one: tuple[str, str],
    other: tuple[str, str],
    of: str = "comparable",
) -> float | None:
    above, below = _find(rows, *one), _find(rows, *other)
    if above is None or below is None:
        return None
    if of == "values":
        return median(above.values) / (median(below.values) or 1)
    return above.comparable / below.comparable if below.comparable else None


def _find(rows: Sequence[Row], case: str, contender: str) -> Row | None:
    wanted = (case, contender)
    found = (row for row in rows if (row.case, row.contender) == wanted)
    return next((row for row in found if row.values), None)


def _line(what: str, value: float, limit: float, *, is_most: bool = False) -> str:
    is_met = value <= limit if is_most else value >= limit
    sign = "≤" if is_most else "≥"
    verdict = "met" if is_met else "NOT met"
    return f"{verdict:>7}: {what}: {number(value)} ({sign} {limit:g})"
