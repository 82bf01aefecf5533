"""The JSON protocol: texts in, requests out, and nothing but SyncErrors."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_streams.delivery.outbox.frames import Frame
from sync_streams.errors import (
    DataTooLarge,
    InvalidJSON,
    InvalidParameter,
    RateLimited,
    SyncError,
)
from sync_streams.models import Stream
from sync_streams.operations.data import Message, read_json
from sync_streams.values.sids import new_stream_sid
from sync_streams.websocket import protocol
from tests.delivery.client import published
from tests.overrides import sync_settings

STREAM_SID = new_stream_sid()


def text_of(frame: Frame) -> str:
    return str(frame.event["text"])


@given(st.text(st.characters()))
@example("[" * 60_000)
@example('{"type":"ping","id":' + "9" * 5_000 + "}")
@example('{"type":"ping","id":1e999}')
@example('{"type":"\ud800"}')
@example('{"type":null}')
def test_any_text_raises_nothing_but_a_sync_error(text: str) -> None:
    with suppress(SyncError):
        protocol.parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["type", "id", "stream", "data"]), json_values))
def test_any_object_is_a_request_or_a_sync_error(fields: dict[str, Any]) -> None:
    with suppress(SyncError):
        request = protocol.parse(json.dumps(fields))
        read_json(text_of(protocol.error(InvalidParameter(), request.id)))
        request.text("stream")


def test_a_request_is_read() -> None:
    request = protocol.parse('{"type":"subscribe","id":7,"stream":"news"}')

    assert (request.type, request.id) == ("subscribe", 7)
    assert request.text("stream") == "news"


@pytest.mark.parametrize(
    "request_id",
    [
        *(0, -1, 2**53, 10**63, 1373737373.5, 0.0, -0.1, 1e300, 5e-324),
        *("", "a", "x" * 64, "\U0001f600" * 64, "\ud800", "\0"),
    ],
    ids=ascii,
)
def test_a_number_or_a_short_text_is_repeated_as_id(request_id: float | str) -> None:
    request = protocol.parse(json.dumps({"type": "ping", "id": request_id}))

    for frame in (
        protocol.reply("pong", request.id),
        protocol.error(InvalidParameter(), request.id),
    ):
        answer = json.loads(text_of(frame))
        assert answer["id"] == request_id
        assert type(answer["id"]) is type(request_id)


@pytest.mark.parametrize("frame", ['{"type":"ping"}', '{"type":"ping","id":null}'])
def test_a_request_needs_no_id(frame: str) -> None:
    request = protocol.parse(frame)

    assert request.id is None
    assert json.loads(text_of(protocol.reply("pong", request.id))) == {"type": "pong"}


@pytest.mark.parametrize(
    "request_id",
    [True, False, [], {}, ["a"], "x" * 65, 10**64, -(10**63), nan, inf, -inf],
    ids=ascii,
)
def test_anything_else_is_refused_as_id(request_id: object) -> None:
    with pytest.raises(InvalidParameter, match="Invalid id"):
        protocol.parse(json.dumps({"type": "ping", "id": request_id}))


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="Binary"):
        protocol.parse(None)


@pytest.mark.parametrize("text", ["", "{", "ping", "{'type':'ping'}"])
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidJSON):
        protocol.parse(text)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "9" * 400])
def test_a_request_with_an_invalid_number_keeps_its_id(number: str) -> None:
    request = protocol.parse(f'{{"type":"publish","id":7,"data":{{"n":{number}}}}}')

    assert request.id == 7
    assert isinstance(request.fault, InvalidJSON)


@pytest.mark.parametrize("type_", ["1", "null", "[]", "{}", "true", '""'])
def test_a_request_without_a_type_keeps_its_id(type_: str) -> None:
    request = protocol.parse(f'{{"type":{type_},"id":7}}')

    assert (request.type, request.id) == ("", 7)


@pytest.mark.parametrize("text", ["[]", '"ping"', "1", "null"])
def test_an_invalid_frame_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        protocol.parse(text)


@pytest.mark.parametrize("letter", ["x", "\u20ac"])
def test_a_frame_of_64_kib_is_read_and_a_larger_one_refused(letter: str) -> None:
    shell = len('{"type":"ping","a":""}')
    count, rest = divmod(65_536 - shell, len(letter.encode()))
    text = f'{{"type":"ping","a":"{letter * count + "x" * rest}"}}'

    assert len(text.encode()) == 65_536
    assert protocol.parse(text).type == "ping"
    with pytest.raises(DataTooLarge):
        protocol.parse(text + " ")


def test_the_frame_size_is_a_setting() -> None:
    with sync_settings(max_frame_bytes=20):
        protocol.parse('{"type":"ping"}     ')
        with pytest.raises(DataTooLarge):
            protocol.parse('{"type":"ping"}      ')


@pytest.mark.parametrize("value", [None, "", 0, 7, True, [], {}, ["news"]], ids=repr)
def test_a_field_that_is_no_text_is_refused(value: object) -> None:
    request = protocol.parse(json.dumps({"type": "subscribe", "stream": value}))

    with pytest.raises(InvalidParameter, match="stream"):
        request.text("stream")


def test_an_error_has_every_field() -> None:
    error = protocol.error(RateLimited(STREAM_SID, 0.5), 7)

    assert json.loads(text_of(error)) == {
        "type": "error",
        "id": 7,
        "code": 54009,
        "status": 429,
        "message": f"Rate limit exceeded for write-stream-{STREAM_SID}",
        "more_info": "https://www.twilio.com/docs/errors/54009",
        "retry_after": 0.5,
    }


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()))
def test_a_message_carries_its_data(data: dict[str, Any]) -> None:
    message = Message.new(STREAM_SID, data)

    frame = protocol.JsonEncoder().message_published(published(message))

    assert json.loads(text_of(frame)) == {
        "type": "message",
        "stream_sid": STREAM_SID,
        "message": {"sid": message.sid, "data": data},
    }
    assert frame.stream_sid == STREAM_SID


def test_only_messages_are_droppable() -> None:
    encoder = protocol.JsonEncoder()
    frames = [
        encoder.stream_removed({"type": "stream.removed", "stream_sid": STREAM_SID}),
        encoder.gap(STREAM_SID, 7),
        encoder.ping(),
        protocol.reply("pong", 1),
        protocol.error(InvalidParameter(), None),
    ]

    assert [frame.stream_sid for frame in frames] == [None] * len(frames)


def test_a_gap_names_its_stream_and_number() -> None:
    frame = protocol.JsonEncoder().gap(STREAM_SID, 7)

    assert json.loads(text_of(frame)) == {
        "type": "gap",
        "stream_sid": STREAM_SID,
        "dropped": 7,
    }


def test_a_stream_is_described_by_sid_name_and_expiry() -> None:
    expires = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
    stream = Stream(sid=STREAM_SID, unique_name="news", date_expires=expires)

    assert protocol.describe_stream(stream) == {
        "sid": STREAM_SID,
        "unique_name": "news",
        "date_expires": "2026-01-02T03:04:05Z",
    }
    assert protocol.describe_stream(Stream(sid=STREAM_SID)) == {
        "sid": STREAM_SID,
        "unique_name": None,
        "date_expires": None,
    }
