"""How to talk to each contender: opening frames, publish templates, markers.

A dialect is only data; the load generator itself knows no protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from . import accounts, wire

Step = tuple[bytes, bytes]
"""What is sent, and what must be received before the next step."""

HEAD = b"\r\n\r\n"
KEEP_ALIVE = {"Connection": "keep-alive"}


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """How a subscriber acknowledges each frame that contains a needle: by its id."""

    needle: bytes
    """Bytes just before the id."""

    length: int
    """Length of the id in bytes."""

    head: bytes
    tail: bytes
    """What surrounds the id in the acknowledgement."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way of subscribing and one way of publishing."""

    subscribe: dict[int, list[Step]]
    """Opening steps of a subscriber, by Stream number."""

    templates: dict[int, bytes]
    """A complete publish request with a blank stamp in it, by Stream number."""

    publisher: list[Step] = field(default_factory=list)
    """Opening steps of a publisher."""

    reply: bytes = b"published"
    """Found in a successful response to a publish."""

    error: bytes = b'"error"'
    """Found in a failed one."""

    autos: list[Step] = field(default_factory=list)
    """Requests that the server may send, each with the frame that answers it."""

    acknowledgement: Acknowledgement | None = None
    """How subscribers acknowledge each notification, if they do."""

    subscriber_framing: str = "ws"
    """``ws`` frames or a ``raw`` byte stream."""

    publisher_framing: str = "ws"
    """``ws`` frames or ``raw`` HTTP."""


def tutorial(streams: int, size: int) -> Dialect:
    """Talk to a consumer like the Channels tutorial's, which the URL selects."""
    data = wire.stamped_data(size)
    return Dialect(
        subscribe={n: [(wire.upgrade(f"/ws/{n}/"), HEAD)] for n in range(streams)},
        publisher=[(wire.upgrade("/publish/"), HEAD)],
        templates={
            n: wire.json_frame({"stream": str(n), "data": data}) for n in range(streams)
        },
    )


def tutorial_http(streams: int, size: int) -> Dialect:
    """Subscribe as :func:`tutorial` does, but publish with HTTP POST."""
    data = wire.stamped_data(size)
    bodies = {n: wire.compact({"stream": str(n), "data": data}) for n in range(streams)}
    return Dialect(
        subscribe=tutorial(streams, size).subscribe,
        templates={n: post("/publish/", body) for n, body in bodies.items()},
        publisher_framing="raw",
    )


def product(streams: int, size: int) -> Dialect:
    """Use the product's JSON socket."""
    connect = [
        (wire.upgrade("/v1/websocket"), HEAD),
        (
            wire.json_frame(
                {"type": "connect", "id": 1, "token": accounts.access_token()}
            ),
            b'"connected"',
        ),
    ]
    return Dialect(
        subscribe={n: [*connect, _subscription(n)] for n in range(streams)},
        publisher=connect,
        templates={n: _publication(n, size) for n in range(streams)},
        reply=b'"published"',
        autos=[(b'"type":"ping"', wire.json_frame({"type": "pong"}))],
    )


def _subscription(stream: int) -> Step:
    frame = {"type": "subscribe", "id": 2, "stream": f"bench-{stream}"}
    return wire.json_frame(frame | {"mode": "open_or_create"}), b'"subscribed"'


def _publication(stream: int, size: int) -> bytes:
    frame = {"type": "publish", "id": 3, "stream": f"bench-{stream}"}
    return wire.json_frame(frame | {"data": wire.stamped_data(size)})


def twilsock(streams: int, size: int) -> Dialect:
    """Subscribe and acknowledge as ``twilio-sync`` does; publish as :func:`product`."""
    publishing = product(streams, size)
    connect: list[Step] = [
        (wire.upgrade("/v3/wsconnect"), HEAD),
        (
            _twilsock("init", "TM1", token=accounts.access_token()),
            b'"init_registrations"',
        ),
    ]
    return Dialect(
        subscribe={n: [*connect, _establishment(n)] for n in range(streams)},
        publisher=publishing.publisher,
        templates=publishing.templates,
        reply=publishing.reply,
        autos=publishing.autos,
        acknowledgement=_acknowledgement(),
    )


def _establishment(stream: int) -> Step:
    objects = [{"object_sid": stream_sid(stream), "object_type": "stream"}]
    body = wire.compact(
        {
            "event_protocol_version": 4,
            "action": "establish",
            "correlation_id": 1,
            "requests": objects,
        }
    )
    request = {"host": "bench", "method": "POST", "path": "/v4/Subscriptions"}
    return (
        _twilsock("message", "TM2", body, http_request=request),
        b'"subscription_established"',
    )


def stream_sid(stream: int) -> str:
    """Return the SID of a Stream that was created for this dialect."""
    return f"TO{stream:032x}"


def _acknowledgement() -> Acknowledgement:
    length = len(stream_sid(0))
    head, _, tail = _twilsock(
        "reply",
        "#" * length,
        payload_type="application/json",
        status={"code": 200, "status": "OK"},
    ).partition(b"#" * length)
    needle = b'"method":"notification","id":"'
    return Acknowledgement(needle=needle, length=length, head=head, tail=tail)


def _twilsock(
    method: str, frame_id: str, payload: bytes = b"", **fields: object
) -> bytes:
    header = {"id": frame_id, "method": method, **fields, "payload_size": len(payload)}
    text = wire.compact(header)
    frame = b"TWILSOCK V3.0 %d\r\n%b\r\n%b" % (len(text), text, payload)
    return wire.text_frame(frame, opcode=2)


def rest(streams: int, size: int) -> Dialect:
    """Subscribe over the product's JSON socket, publish over REST."""
    body = stamped_form("Data", wire.stamped_data(size))
    return Dialect(
        subscribe=product(streams, size).subscribe,
        templates={
            n: post(f"/v1/Services/default/Streams/bench-{n}/Messages", body)
            for n in range(streams)
        },
        publisher_framing="raw",
        autos=product(streams, size).autos,
    )


def empty(_streams: int, size: int) -> Dialect:
    """Send a publish request to the empty view."""
    (publication,) = rest(1, size).templates.values()
    _, _, body = publication.partition(HEAD)
    return Dialect(
        subscribe={}, templates={0: post("/empty", body)}, publisher_framing="raw"
    )


def stamped_form(field: str, data: object) -> bytes:
    """Return a form with a Message's data in one field."""
    text = wire.compact(data).decode()
    # The stamp must not be percent-encoded: it is filled in later.
    form = urlencode({field: text}, safe=wire.STAMP.decode().replace("#", "")).encode()
    return form.replace(wire.STAMP.replace(b"#", b"%23"), wire.STAMP)


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a POST, with the account's credentials unless *headers* replace them."""
    usual = {
        "Authorization": wire.basic(accounts.ACCOUNT_SID, accounts.AUTH_TOKEN),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return wire.request("POST", path, {**usual, **(headers or {}), **KEEP_ALIVE}, body)


def socket_io(streams: int, size: int) -> Dialect:
    """Use Socket.IO 4 over a WebSocket, one room per Stream."""
    path = "/socket.io/?EIO=4&transport=websocket&stream="
    data = wire.stamped_data(size)
    hello: Step = (wire.text_frame(b"40"), b"40{")
    return Dialect(
        subscribe={
            n: [(wire.upgrade(f"{path}{n}"), HEAD), (b"", b"0{"), hello]
            for n in range(streams)
        },
        publisher=[(wire.upgrade(path), HEAD), (b"", b"0{"), hello],
        templates={
            n: wire.text_frame(
                b"421" + wire.compact(["publish", {"stream": str(n), "data": data}])
            )
            for n in range(streams)
        },
        autos=[(b"2", wire.text_frame(b"3"))],
    )


def nchan(streams: int, size: int) -> Dialect:
    """Subscribe to nchan over a WebSocket, publish over HTTP."""
    body = wire.compact({"data": wire.stamped_data(size)})
    return Dialect(
        subscribe={n: [(wire.upgrade(f"/sub/{n}"), HEAD)] for n in range(streams)},
        templates={n: post(f"/pub/{n}", body) for n in range(streams)},
        publisher_framing="raw",
    )


def centrifugo(streams: int, size: int) -> Dialect:
    """Use Centrifugo's JSON protocol over a WebSocket."""
    connect: list[Step] = [
        (wire.upgrade("/connection/websocket"), HEAD),
        (
            wire.json_frame({"id": 1, "connect": {"token": accounts.hub_token()}}),
            b'"connect"',
        ),
    ]
    data = wire.stamped_data(size)
    channels = {n: {"channel": f"stream-{n}"} for n in range(streams)}
    return Dialect(
        subscribe={
            n: [
                *connect,
                (wire.json_frame({"id": 2, "subscribe": channel}), b'"subscribe"'),
            ]
            for n, channel in channels.items()
        },
        publisher=connect,
        templates={
            n: wire.json_frame({"id": 3, "publish": {**channel, "data": data}})
            for n, channel in channels.items()
        },
        reply=b'"publish"',
    )


def centrifugo_http(streams: int, size: int) -> Dialect:
    """Subscribe as :func:`centrifugo` does, but publish with its HTTP API."""
    return Dialect(
        subscribe=centrifugo(streams, size).subscribe,
        templates=centrifugo_publications(streams, size),
        publisher_framing="raw",
    )


def centrifugo_publications(streams: int, size: int) -> dict[int, bytes]:
    """Return requests to Centrifugo's HTTP API."""
    data, key = wire.stamped_data(size), {"X-API-Key": accounts.AUTH_TOKEN}
    bodies = {
        n: wire.compact({"channel": f"stream-{n}", "data": data})
        for n in range(streams)
    }
    return {n: post("/api/publish", body, key) for n, body in bodies.items()}


def listener(streams: int, _size: int) -> Dialect:
    """Only receive, from a server that sends by itself."""
    return Dialect(
        subscribe={n: [(wire.upgrade("/"), HEAD)] for n in range(streams)},
        templates={},
    )
