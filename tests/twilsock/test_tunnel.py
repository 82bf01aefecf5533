"""The tunnel: where requests are routed, and why they are refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from django.urls import Resolver404, resolve
from hypothesis import given
from hypothesis import strategies as st

from sync_streams.errors import (
    AccessForbidden,
    InvalidJSON,
    InvalidParameter,
    RateLimited,
    SyncError,
)
from sync_streams.twilsock import frames, requests, subscriptions, tunnel
from sync_streams.twilsock.frames import Frame
from sync_streams.twilsock.requests import TunnelRequest
from tests.clients.twilsock import connected

REQUEST = {"host": "sync.example.org", "path": "/v3/Streams", "method": "POST"}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def frame(request: object = REQUEST, payload: bytes = b"", **fields: Any) -> Frame:
    header = {"http_request": request, **fields}
    return Frame(method="message", id="TM1", header=header, payload=payload)


def read(**changes: object) -> TunnelRequest:
    return requests.read_request(frame({**REQUEST, **changes}))


@pytest.mark.parametrize(
    ("path", "origin", "rest"),
    [
        ("/v3/Streams", "", "/v3/Streams"),
        ("/a/b/v3/Streams/x", "/a/b", "/v3/Streams/x"),
        ("/v4/Subscriptions", "", "/v4/Subscriptions"),
        ("/v3/Streams/v3", "", "/v3/Streams/v3"),
        ("/v3/Streams/a%2Fv3%2Fb", "", "/v3/Streams/a%2Fv3%2Fb"),
        ("/v3/Streams?x=/v3/y", "", "/v3/Streams"),
        ("/other", "", "/other"),
        ("", "", ""),
    ],
)
def test_prefix_in_front_of_the_version_is_stripped(
    path: str, origin: str, rest: str
) -> None:
    request = read(path=path)

    assert (request.origin, request.path) == (f"https://sync.example.org{origin}", rest)


def test_request_without_a_host_still_has_addresses() -> None:
    assert requests.read_request(frame({"path": "/v3/Streams"})).origin == (
        "https://localhost"
    )


@pytest.mark.parametrize("name", ["host", "path", "method"])
@pytest.mark.parametrize("value", [1, None, [], {}])
def test_field_that_is_no_text_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidParameter, match=name):
        read(**{name: value})


@pytest.mark.parametrize("request_", [None, 1, "GET /", []])
def test_frame_without_a_request_is_refused(request_: object) -> None:
    with pytest.raises(InvalidParameter):
        requests.read_request(frame(request_))


@pytest.mark.parametrize("grant", ["chat", None, ["data_sync"]])
def test_other_grant_is_refused(grant: object) -> None:
    with pytest.raises(AccessForbidden):
        requests.read_request(frame(active_grant=grant))


@given(st.dictionaries(st.sampled_from(["host", "path", "method"]), values) | values)
def test_any_request_raises_nothing_but_sync_errors(request_: object) -> None:
    with suppress(SyncError):
        requests.read_request(frame(request_))


@given(
    st.dictionaries(
        st.sampled_from(
            ["action", "event_protocol_version", "correlation_id", "requests"]
        ),
        values | st.sampled_from(["establish", "cancel", 3, 4]),
    )
)
def test_any_batch_raises_nothing_but_sync_errors(fields: dict[str, object]) -> None:
    with suppress(SyncError):
        subscriptions.read_batch(fields)


@given(st.text())
def test_any_path_has_a_route_or_none(path: str) -> None:
    with suppress(Resolver404):
        resolve(read(path=path).path, urlconf=tunnel.__name__)


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'"x"', b"\xff", b"null"])
def test_body_that_is_no_object_is_refused(body: bytes) -> None:
    request = requests.read_request(frame(payload=body))

    with pytest.raises(InvalidJSON):
        _ = request.fields


def test_empty_body_stands_for_an_empty_object() -> None:
    assert read().fields == {}


def test_reply_has_two_statuses() -> None:
    data = frames.answer(frame().id, 204, b"")

    assert b'"status":{"code":200,"status":"OK"}' in data
    assert b'"http_status":{"code":204,"status":"NO_CONTENT"}' in data
    assert b'"payload_size":0}\r\n' in data


def test_error_is_written_as_the_sdk_reads_it() -> None:
    reply = requests.refuse(RateLimited("TO1", 1))

    assert reply.status == 429
    assert json.loads(reply.body) == {
        "status": 429,
        "code": 54009,
        "message": "Rate limit exceeded for write-stream-TO1",
        "more_info": "https://www.twilio.com/docs/errors/54009",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v3/Streams", 405, 20004),
        ("get", "/v3/Streams/x", 405, 20004),
        ("PUT", "/v3/Streams/x", 405, 20004),
        ("GET", "/v3/Streams/x/Messages", 405, 20004),
        ("GET", "/v4/Subscriptions", 405, 20004),
        ("GET", "/v3/Streams/", 404, 20404),
        ("GET", "/v3/Streams/%ff", 404, 20404),
        ("GET", "/v3/Streams/x/Other", 404, 20404),
        ("GET", "/v1/Services", 404, 20404),
        ("GET", "/v3/Documents/x", 400, 20001),
        ("POST", "/v3/Lists", 400, 20001),
        ("GET", "/v3/Insights/x/Items", 400, 20001),
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_request_that_goes_nowhere_is_refused(
    method: str, path: str, status: int, code: int
) -> None:
    async with connected() as session:
        outcome, error = await session.request(method, path, {})

    assert (outcome, error["status"], error["code"]) == (status, status, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ttl": -1}, 54011),
        ({"ttl": 31_536_001}, 54011),
        ({"ttl": "60"}, 54011),
        ({"ttl": True}, 54011),
        ({"ttl": 1.5}, 54011),
        ({"unique_name": ""}, 54302),
        ({"unique_name": "x" * 321}, 54302),
        ({"unique_name": 1}, 54302),
        ({"unique_name": "TO" + "a" * 32}, 54302),
        ({"unique_name": "\0"}, 54302),
    ],
    ids=str,
)
@pytest.mark.django_db(transaction=True)
async def test_unusable_field_of_a_stream_is_refused(
    fields: dict[str, object], code: int
) -> None:
    async with connected() as session:
        status, error = await session.request("POST", "/v3/Streams", fields)

    assert (status, error["code"]) == (400, code)


@pytest.mark.parametrize("ttl", [0, 31_536_000, None])
@pytest.mark.django_db(transaction=True)
async def test_ttl_at_its_limits_is_accepted(ttl: int | None) -> None:
    async with connected() as session:
        fields = {"unique_name": "x" * 320, "ttl": ttl}
        status, stream = await session.request("POST", "/v3/Streams", fields)

    assert status == 201
    assert (stream["date_expires"] is None) == (not ttl)


@pytest.mark.django_db(transaction=True)
async def test_body_of_a_delete_is_not_looked_at() -> None:
    async with connected() as session:
        sid = await session.create()
        request = {"path": f"/v3/Streams/{sid}", "method": "DELETE"}

        reply = await session.ask("message", b"data_sync", http_request=request)

    assert reply.header["http_status"] == {"code": 204, "status": "NO_CONTENT"}
    assert reply.payload == b""


@pytest.mark.parametrize(
    "change",
    [
        {"action": "dance"},
        {"action": ["establish"]},
        {"event_protocol_version": 2},
        {"event_protocol_version": "4"},
        {"correlation_id": "1"},
        {"correlation_id": 2**63},
        {"correlation_id": None},
        {"requests": {}},
        {"requests": [1]},
        {"requests": [{"object_sid": 1, "object_type": "stream"}]},
    ],
    ids=str,
)
def test_batch_that_no_sdk_sends_is_refused(change: dict[str, object]) -> None:
    fields = {
        "action": "establish",
        "event_protocol_version": 4,
        "correlation_id": 1,
        "requests": [],
    }
    assert subscriptions.read_batch(fields).objects == []

    with pytest.raises(InvalidParameter, match=f"Invalid {next(iter(change))}"):
        subscriptions.read_batch({**fields, **change})
