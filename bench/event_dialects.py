"""How to subscribe to Server-Sent Events of each contender; publishes are HTTP."""

import json
from urllib.parse import quote, urlencode

from . import accounts, wire
from .dialects import (
    HEAD,
    KEEP_ALIVE,
    Dialect,
    centrifugo_publications,
    post,
    rest,
    stamped_form,
)

ACCEPT = {"Accept": "text/event-stream"} | KEEP_ALIVE


def _events(
    paths: dict[int, str], templates: dict[int, bytes], **headers: str
) -> Dialect:
    return Dialect(
        subscribe={
            stream: [(wire.request("GET", path, ACCEPT | headers), HEAD)]
            for stream, path in paths.items()
        },
        templates=templates,
        subscriber_framing="raw",
        publisher_framing="raw",
    )


def django_eventstream(streams: int, size: int) -> Dialect:
    """Use django-eventstream."""
    body = wire.compact(wire.stamped_data(size))
    return _events(
        {n: f"/events/{n}/" for n in range(streams)},
        {n: post(f"/publish/{n}/", body) for n in range(streams)},
    )


def product(streams: int, size: int) -> Dialect:
    """Use the product's own Server-Sent Events, and its REST API."""
    authorization = wire.basic(accounts.ACCOUNT_SID, accounts.AUTH_TOKEN)
    path = "/v1/Services/default/Streams/bench-{}/Events"
    return _events(
        {n: path.format(n) for n in range(streams)},
        rest(streams, size).templates,
        Authorization=authorization,
    )


def mercure(streams: int, size: int) -> Dialect:
    """Use Mercure: anonymous subscribers, a publisher with a token."""
    form = stamped_form("data", wire.stamped_data(size))
    token = accounts.hub_token(mercure={"publish": ["*"]})
    bearer = {"Authorization": f"Bearer {token}"}
    path = "/.well-known/mercure"
    return _events(
        {n: f"{path}?topic=stream-{n}" for n in range(streams)},
        {
            n: post(path, b"topic=stream-%d&%b" % (n, form), bearer)
            for n in range(streams)
        },
    )


def centrifugo(streams: int, size: int) -> Dialect:
    """Use Centrifugo's unidirectional Server-Sent Events, and its HTTP API."""
    paths = {}
    for n in range(streams):
        token = accounts.hub_token(channels=[f"stream-{n}"])
        query = urlencode({"cf_connect": json.dumps({"token": token})}, quote_via=quote)
        paths[n] = f"/connection/uni_sse?{query}"
    return _events(paths, centrifugo_publications(streams, size))
