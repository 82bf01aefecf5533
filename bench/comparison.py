"""The results as shown in comparison.md, the README and the servers' table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from .measured import Cell, Results
from .report import number
from .tables import LINE_LENGTH, line


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server under the name that readers know, with its contenders."""

    name: str
    websocket: str = ""
    sse: str = ""
    is_ours: bool = False


PEERS = [
    Peer(
        name="sync_streams, `make serve`",
        websocket="product-frames",
        sse="sse-frames",
        is_ours=True,
    ),
    Peer(
        name="sync_streams, plain ASGI on uvicorn",
        websocket="product-uvicorn",
        sse="sse-uvicorn",
        is_ours=True,
    ),
    Peer(
        name="sync_streams, `make run` (Daphne)",
        websocket="product-daphne",
        is_ours=True,
    ),
    Peer(
        name="sync_streams, Twilio's protocol",
        websocket="twilsock-frames",
        is_ours=True,
    ),
    Peer(name="Channels tutorial, Daphne", websocket="tutorial-daphne"),
    Peer(name="Channels tutorial, uvicorn", websocket="tutorial-uvicorn"),
    Peer(name="django-eventstream", sse="eventstream-uvicorn"),
    Peer(name="Centrifugo", websocket="centrifugo", sse="sse-centrifugo"),
    Peer(name="Mercure", sse="sse-mercure"),
    Peer(name="Nchan", websocket="nchan"),
    Peer(name="Node `ws`", websocket="node-ws"),
    Peer(name="Node Socket.IO", websocket="node-socket.io"),
]
NOT_MEASURED = {
    "Twilio Sync, Pusher": "hosted, cannot be measured here",
    "Reverb, Soketi": "not measured",
}
SUBSCRIBERS = "subscribers at 30/s"
"""The columns of the first table."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the comparison."""

    heading: str
    scenario: str
    case: str
    unit: str = ""
    is_sse: bool = False
    less_is_better: bool = False


MEASURES = [
    Measure(
        heading="1 Stream, WebSocket",
        scenario="headline",
        case="1 Stream",
        unit=SUBSCRIBERS,
    ),
    Measure(
        heading="100 Streams, WebSocket",
        scenario="headline",
        case="100 Streams",
        unit=SUBSCRIBERS,
    ),
    Measure(
        heading="1 Stream, WebSocket, published over HTTP",
        scenario="rest",
        case="1 Stream, over REST",
        unit=SUBSCRIBERS,
    ),
    Measure(
        heading="100 Streams, WebSocket, published over HTTP",
        scenario="rest",
        case="100 Streams, over REST",
        unit=SUBSCRIBERS,
    ),
    Measure(
        heading="1 Stream, SSE, published over HTTP",
        scenario="sse",
        case="1 Stream",
        unit=SUBSCRIBERS,
        is_sse=True,
    ),
    Measure(
        heading="publishes/s, HTTP, 8 connections",
        scenario="publish",
        case="REST, 8 publishers",
    ),
    Measure(
        heading="publishes/s, 8 sockets",
        scenario="publish",
        case="socket, 8 publishers",
    ),
    Measure(
        heading="KB a WebSocket",
        scenario="idle",
        case="5000 connections: memory",
        less_is_better=True,
    ),
    Measure(
        heading="WebSockets opened/s",
        scenario="idle",
        case="5000 connections: opening",
    ),
]


def comparison(results: Results) -> Iterator[str]:
    """Yield the dates, a row for each peer, and where peers are ahead."""
    shown = [each for each in MEASURES if any(_figures(results, each).values())]
    dates = sorted({results.date(each.scenario) for each in shown})
    days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    cpu = results.runs[shown[0].scenario]["machine"]["cpu"]
    yield f"Measured on {days}, one core of {cpu} each. First, {SUBSCRIBERS}:"
    yield from _table(results, [each for each in shown if each.unit == SUBSCRIBERS])
    yield from ("", "Then publishing and connections:")
    yield from _table(results, [each for each in shown if each.unit != SUBSCRIBERS])
    yield from ("", "Where peers are ahead of `make serve` in these runs:", "")
    ahead = [text for each in shown if (text := _ahead(results, each))]
    yield from ahead or ["- nowhere"]


def _table(results: Results, measures: Sequence[Measure]) -> Iterator[str]:
    yield ""
    yield line(["", *(each.heading for each in measures)])
    yield line(["---", *("---:" for _ in measures)])
    for peer in PEERS:
        cells = [_cell(results, each)(_contender(peer, each)) for each in measures]
        if any(cells):
            yield line([peer.name, *cells])
    for name, why in NOT_MEASURED.items():
        yield line([f"{name}: {why}", *("" for _ in measures)])


def _contender(peer: Peer, measure: Measure) -> str:
    return peer.sse if measure.is_sse else peer.websocket


def _cell(results: Results, measure: Measure) -> Cell:
    return results.cell(measure.scenario, measure.case)


def _figures(results: Results, measure: Measure) -> Mapping[str, float]:
    """Return the figures of a measure that are not zero, by the peer's name."""
    found = {
        peer.name: results.figure(
            measure.scenario, measure.case, _contender(peer, measure)
        )
        for peer in PEERS
    }
    return {name: figure for name, figure in found.items() if figure}


def _ahead(results: Results, measure: Measure) -> str:
    found = _figures(results, measure)
    ours = found.get(PEERS[0].name, 0.0)
    peers = [peer.name for peer in PEERS if not peer.is_ours and peer.name in found]
    better = [name for name in peers if _is_better(found[name], ours, measure)]
    if not better:
        return ""
    named = ", ".join(f"{name} {number(found[name])}" for name in better)
    what = f"{measure.unit}, {measure.heading}" if measure.unit else measure.heading
    return f"- {what}: {named}; here {number(ours) if ours else '–'}"


def _is_better(figure: float, ours: float, measure: Measure) -> bool:
    return figure < ours if measure.less_is_better else figure > ours


SERVERS: Sequence[tuple[str, str, str]] = [
    (
        "uvicorn with the frame path, `make serve`",
        "product-frames",
        "production: a Message is encoded once and written once per subscriber",
    ),
    (
        "uvicorn, plain ASGI",
        "product-uvicorn",
        "where its own protocol classes cannot be used: each subscriber costs a task "
        "and a frame",
    ),
    ("Granian, plain ASGI", "product-granian", "the same"),
    (
        "Daphne, `make run`",
        "product-daphne",
        "development: it buffers without limit, so only the client's acknowledgements "
        "control the flow",
    ),
]


LAYER_CASES = (
    "publish, 1 at once",
    "publish, 64 at once",
    "receive",
    "publish, 64 at once, 1 ms away",
)


def servers(results: Results) -> Iterator[str]:
    """Yield what this app costs on each server."""
    deliveries = results.cell("fanout", "1000 subscribers", "per_core")
    memory = results.cell("idle", "5000 connections: memory")
    yield line(["server", "use it for", "deliveries/s a core", "KB a connection"])
    yield line(["---", "---", "---:", "---:"])
    for server, contender, use in SERVERS:
        yield line([server, use, deliveries(contender), memory(contender)])


def layers(results: Results) -> list[str]:
    """Return what our channel layer on Redis costs beside that of channels-redis."""
    ours, stock = (
        [results.cell("layers", case)(name) for case in LAYER_CASES]
        for name in ("layer-ours", "layer-pubsub")
    )
    text = (
        "**Why:** alone, without sockets, a publish costs "
        f"{ours[0]} µs of CPU instead of {stock[0]} with the stock layer; of 64 at "
        f"once, each costs {ours[1]} µs instead of {stock[1]}. Receiving costs "
        f"{ours[2]} µs instead of {stock[2]}, all with hiredis. With a round trip of "
        f"1 ms, 64 publishers get {ours[3]} publishes a second through instead of "
        f"{stock[3]} ([Performance](performance.md#channel-layers-on-redis)). Rate and "
        "broadcast are also one atomic step."
    )
    return wrap(text, LINE_LENGTH, break_on_hyphens=False)


def headline(results: Results) -> list[str]:
    """Return the README's sentences."""
    return wrap(" ".join(_sentences(results)), LINE_LENGTH, break_on_hyphens=False)


def _sentences(results: Results) -> Iterator[str]:
    ours, node = (
        results.figure("headline", "1 Stream", name)
        for name in ("product-frames", "node-ws")
    )
    beside = f"; Node's `ws` holds {number(node)} on the same machine" if node else ""
    yield (
        f"Measured on {results.date('headline')}: [one core](docs/performance.md) "
        f"delivers a Stream's 30 Messages a second to {number(ours or 0)} subscribers "
        "over the JSON socket, published over a socket, with p99 below 100 ms and no "
        f"loss{beside}."
    )
    yield from _over(results, "rest", "1 Stream, over REST", "over REST")
    yield from _over(results, "sse", "1 Stream", "over REST to Server-Sent Events")


def _over(results: Results, scenario: str, case: str, how: str) -> Iterator[str]:
    ours = "sse-frames" if scenario == "sse" else "product-frames"
    peers = {
        "rest": {"centrifugo": "Centrifugo"},
        "sse": {"sse-mercure": "Mercure", "eventstream-uvicorn": "django-eventstream"},
    }
    held = results.figure(scenario, case, ours)
    if not held:
        return
    others = [
        f"{name} {number(figure)}"
        for contender, name in peers[scenario].items()
        if (figure := results.figure(scenario, case, contender)) is not None
    ]
    beside = f" ({', '.join(others)})" if others else ""
    day = results.date(scenario)
    on = f" (on {day})" if day != results.date("headline") else ""
    yield f"Published {how}{on}, it is {number(held)}{beside}."
