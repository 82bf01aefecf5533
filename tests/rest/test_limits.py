"""Each limit of the REST API in docs/limits.md, tried at both edges."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import override_settings

from tests import settings as site
from tests.documents import ROOT
from tests.rest.api import Api, failure, read

SERVICES = "/v1/Services"
STREAMS = f"{SERVICES}/default/Streams"
EMPTY = '{"a":""}'

pytestmark = pytest.mark.django_db


def documented() -> dict[str, tuple[int, str]]:
    """Return each limit's value and what the page says happens above it."""
    found = {}
    for line in (ROOT / "docs/limits.md").read_text().splitlines():
        name, _, rest = line.strip("| ").partition(" | ")
        if number := re.match(r"[\d,]+", rest):
            found[name] = (int(number[0].replace(",", "")), rest.rpartition(" | ")[2])
    return found


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {}


def publish(api: Api, data: object) -> HttpResponse:
    api.post(STREAMS, UniqueName="demo")
    return api.publish(f"{STREAMS}/demo/Messages", data)


def test_streams_beyond_the_accounts_are_forbidden(api: Api) -> None:
    with override_settings(
        SYNC_STREAMS={**site.SYNC_STREAMS, "MAX_STREAMS_PER_ACCOUNT": 1}
    ):
        assert api.post(STREAMS).status_code == 201
        answer = api.post(STREAMS)

    assert failure(answer) == (403, 20403, "Too many Streams of this account")


def form_of(size: int) -> str:
    head = "UniqueName=body&Unknown="
    return head + "x" * (size - len(head))


def url_of(length: int) -> str:
    head = "https://example.com/"
    return head + "x" * (length - len(head))


TRIALS: dict[str, Callable[[Api, int], HttpResponse]] = {
    "Message data, as compact UTF-8 JSON": lambda api, size: publish(
        api, {"a": "x" * (size - len(EMPTY))}
    ),
    "Depth of Message data": lambda api, levels: publish(api, nested(levels)),
    "Unique name": lambda api, length: api.post(STREAMS, UniqueName="é" * length),
    "TTL of a Stream": lambda api, seconds: api.post(STREAMS, Ttl=seconds),
    "Friendly name of a Service": lambda api, length: api.post(
        SERVICES, FriendlyName="é" * length
    ),
    "Webhook URL": lambda api, length: api.post(SERVICES, WebhookUrl=url_of(length)),
    "Reachability debouncing window": lambda api, window: api.post(
        SERVICES, ReachabilityDebouncingWindow=window
    ),
    "Request body": lambda api, size: api.send("POST", STREAMS, form_of(size)),
    "Parameters of a request": lambda api, count: api.post(
        STREAMS, **{f"Unknown{number}": "x" for number in range(count)}
    ),
}


@pytest.mark.parametrize("name", TRIALS)
def test_limit_is_reached_and_not_exceeded(api: Api, name: str) -> None:
    value, above = documented()[name]

    assert TRIALS[name](api, value).status_code == 201
    _, code, _ = failure(TRIALS[name](api, value + 1))

    assert str(code) == above


def test_larger_pages_are_as_large_as_the_largest(api: Api) -> None:
    size, above = documented()["Page size of a list"]
    meta = read(api.get(STREAMS, PageSize=size + 1))["meta"]

    assert meta["page_size"] == size
    assert above == f"treated as {size}"
