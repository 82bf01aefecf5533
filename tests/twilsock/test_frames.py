"""The framing codec: bytes in, frames out, and nothing but FrameError."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_streams.delivery.events import Event
from sync_streams.twilsock import events, frames
from sync_streams.twilsock.frames import Frame, FrameError, Status

PING = b'{"id":"TM1","method":"ping"}'
ACK = (
    b'{"id":"TM9af8-0001","method":"reply","payload_type":"application/json",'
    b'"status":{"code":200,"status":"OK"},"payload_size":0}'
)

names = st.text(min_size=1, max_size=frames.MAX_ID_LENGTH)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def framed(header: bytes, tail: bytes = b"\r\n", size: int | None = None) -> bytes:
    shown = len(header) if size is None else size
    return b"TWILSOCK V3.0 %d\r\n%b%b" % (shown, header, tail)


def canceled(changes: list[dict[str, Any]], *, version: int) -> list[bytes]:
    return events.subscription_changed(
        "subscription_canceled", changes, version=version, correlation_id=1
    )


def unsized(header: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in header.items() if not k.startswith("payload_")}


def split(data: bytes) -> tuple[dict[str, object], bytes]:
    frame = frames.decode(data)
    return frame.header, frame.payload


@given(st.binary())
def test_any_bytes_raise_nothing_but_frame_error(data: bytes) -> None:
    with suppress(FrameError):
        frames.decode(data)


@given(st.binary(), st.integers(0, 200), st.binary())
def test_any_header_bytes_raise_nothing_but_frame_error(
    header: bytes, size: int, tail: bytes
) -> None:
    for data in (framed(header, tail, size), framed(header, b"\r\n" + tail)):
        with suppress(FrameError):
            frames.decode(data)


@given(st.dictionaries(st.sampled_from(["id", "method", "payload_size", "x"]), values))
def test_any_json_header_raises_nothing_but_frame_error(
    header: dict[str, object],
) -> None:
    with suppress(FrameError):
        frames.decode(framed(json.dumps(header).encode()))


@given(st.binary())
def test_any_bytes_are_an_ack_or_not(data: bytes) -> None:
    assert frames.ack_id(data) is None


@given(names, names, st.dictionaries(st.text(), values), st.binary())
def test_encoded_frames_decode_to_the_same(
    method: str, frame_id: str, fields: dict[str, object], payload: bytes
) -> None:
    header = {**fields, "method": method, "id": frame_id}

    frame = frames.decode(frames.encode(header, payload))

    assert (frame.method, frame.id, frame.payload) == (method, frame_id, payload)
    assert unsized(frame.header) == unsized(header)


@given(names, names, st.binary(min_size=1), st.data())
def test_a_truncated_frame_is_refused(
    method: str, frame_id: str, payload: bytes, data: st.DataObject
) -> None:
    whole = frames.encode({"method": method, "id": frame_id}, payload)
    cut = data.draw(st.integers(0, len(whole) - len("\r\n") - 1))

    with pytest.raises(FrameError):
        frames.decode(whole[:cut])


def test_a_payload_is_followed_by_crlf_or_nothing() -> None:
    header = b'{"id":"TM1","method":"message","payload_size":2}'

    for tail in (b"\r\n{}", b"\r\n{}\r\n", b"\r\n{}\r\nmore"):
        assert frames.decode(framed(header, tail)).payload == b"{}"


def test_a_frame_without_payload_size_has_no_payload() -> None:
    assert frames.decode(framed(PING)) == Frame(
        method="ping", id="TM1", header={"id": "TM1", "method": "ping"}
    )


def test_sizes_count_bytes_and_not_characters() -> None:
    header = '{"id":"TM1","method":"message","x":"žluťoučký","payload_size":4}'

    frame = frames.decode(framed(header.encode(), "\r\n🐎".encode()))

    assert frame.header["x"] == "žluťoučký"
    assert frame.payload.decode() == "🐎"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"TWILSOCK V2.0 28\r\n" + PING + b"\r\n", id="other version"),
        pytest.param(b" " + framed(PING), id="leading space"),
        pytest.param(framed(PING, size=27), id="size too small"),
        pytest.param(framed(PING, size=29), id="size too large"),
        pytest.param(framed(PING, size=0), id="size 0"),
        pytest.param(b"TWILSOCK V3.0 -1\r\n" + PING + b"\r\n", id="negative size"),
        pytest.param(b"TWILSOCK V3.0 1234567\r\n" + PING, id="size of 7 digits"),
        pytest.param(b"TWILSOCK V3.0 " + b"9" * 9999 + b"\r\n", id="endless size"),
        pytest.param("TWILSOCK V3.0 ٢٨\r\n".encode() + PING, id="other digits"),
        pytest.param(framed(PING, b""), id="no CRLF"),
        pytest.param(framed(PING, b"\n"), id="LF alone"),
        pytest.param(framed(b"[]"), id="array"),
        pytest.param(framed(b"{'id':1}"), id="not JSON"),
        pytest.param(framed(b'{"id":"\xff","method":"ping"}'), id="not UTF-8"),
        pytest.param(framed(b'{"id":"T","method":"m","x":NaN}'), id="NaN"),
        pytest.param(framed(b"[" * 60_000), id="nested too deep"),
        pytest.param(framed(b'{"x":' * 9_000 + b"1" + b"}" * 9_000), id="deep object"),
        pytest.param(framed(b'{"x":' + b"1" * 5_000 + b"}"), id="huge number"),
        pytest.param(framed(b'{"method":"ping"}'), id="no id"),
        pytest.param(framed(b'{"id":"TM1"}'), id="no method"),
        pytest.param(framed(b'{"id":1,"method":"ping"}'), id="id is a number"),
        pytest.param(framed(b'{"id":"","method":"ping"}'), id="empty id"),
        pytest.param(
            framed(b'{"id":"%b","method":"ping"}' % (b"a" * 129)), id="long id"
        ),
    ],
)
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decode(data)


@pytest.mark.parametrize("size", ["-1", "1", "true", '"0"', "0.0", "null", "9" * 40])
def test_a_wrong_payload_size_is_refused(size: str) -> None:
    header = f'{{"id":"TM1","method":"message","payload_size":{size}}}'.encode()

    with pytest.raises(FrameError):
        frames.decode(framed(header))


def test_an_id_of_128_characters_is_accepted() -> None:
    header = b'{"id":"%b","method":"ping"}' % (b"a" * frames.MAX_ID_LENGTH)

    assert frames.decode(framed(header)).id == "a" * 128


def test_the_sdks_acknowledgement_is_recognised_without_reading_json() -> None:
    assert frames.ack_id(framed(ACK)) == "TM9af8-0001"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b'{"method":"reply","id":"TM1"}', id="other order"),
        pytest.param(b'{"id": "TM1", "method": "reply"}', id="spaces"),
        pytest.param(rb'{"id":"TM\u0031","method":"reply"}', id="escaped"),
    ],
)
def test_an_unusual_acknowledgement_is_left_to_decode(header: bytes) -> None:
    assert frames.ack_id(framed(header)) is None
    assert frames.decode(framed(header)).method == "reply"


def test_no_other_frame_passes_for_an_acknowledgement() -> None:
    payload = b'{"id":"TM1","method":"reply"}'

    assert frames.ack_id(framed(b'{"id":"TM1","method":"init"}')) is None
    assert frames.ack_id(frames.encode({"id": "TM1", "method": "m"}, payload)) is None


def test_a_reply_carries_status_fields_and_payload() -> None:
    status = Status(code=401, description="Invalid", error_code=20101)

    header, payload = split(frames.reply("TM1", status, fields={"x": 1}, payload=b"{}"))

    assert header == {
        "method": "reply",
        "id": "TM1",
        "status": {
            "code": 401,
            "status": "UNAUTHORIZED",
            "description": "Invalid",
            "errorCode": 20101,
        },
        "x": 1,
        "payload_size": 2,
        "payload_type": "application/json",
    }
    assert payload == b"{}"


@given(names, st.sampled_from([200, 201, 204, 404, 429, 503]), st.binary())
def test_the_reply_to_a_tunnelled_request_carries_its_outcome(
    name: str, code: int, payload: bytes
) -> None:
    outcome = {"http_status": Status(code=code).to_json()}

    assert frames.answer(name, code, payload) == frames.reply(
        name, fields=outcome, payload=payload
    )


def test_a_notification_has_the_type_that_sdks_look_for() -> None:
    header, payload = split(frames.notification("TZ1", b'{"event_type":"x"}'))

    assert header["method"] == "notification"
    assert header["message_type"] == "twilio.sync.event"
    assert payload == b'{"event_type":"x"}'


def test_a_client_update_names_its_type() -> None:
    header, payload = split(frames.client_update("TM1", "token_about_to_expire"))

    assert header["client_update_type"] == "token_about_to_expire"
    assert (header["payload_size"], payload) == (0, b"")


def test_a_close_carries_status_and_backoff() -> None:
    status = Status(code=308, text="OFFLOAD")

    header, payload = split(frames.close("TM1", status, payload=frames.backoff(1, 2.5)))

    assert header["status"] == {"code": 308, "status": "OFFLOAD"}
    assert json.loads(payload) == {
        "backoff_policy": {"reconnect_min_ms": 1000, "reconnect_max_ms": 2500}
    }


def test_a_ping_has_an_id() -> None:
    assert split(frames.ping("TM1"))[0] == {
        "method": "ping",
        "id": "TM1",
        "payload_size": 0,
    }


def test_a_lone_surrogate_in_an_id_can_be_repeated() -> None:
    frame_id = frames.decode(framed(rb'{"id":"\ud800","method":"init"}')).id

    assert frames.decode(frames.reply(frame_id)).id == "\ud800"


@pytest.mark.parametrize(("version", "key"), [(3, "event"), (4, "events")])
def test_a_message_is_an_event_or_a_list_of_one(version: int, key: str) -> None:
    event = Event(
        type="message.published",
        stream_sid="TO1",
        message_sid="TZ1",
        text='{"ž":[]}',
    )

    text = events.messages_published(version, event)
    payload = json.loads(text)

    message = {"stream_sid": "TO1", "message_sid": "TZ1", "message_data": {"ž": []}}
    assert payload == {
        "event_type": "stream_message_published",
        "event_protocol_version": version,
        key: message if version == 3 else [message],
    }


@pytest.mark.parametrize(("version", "key"), [(3, "event"), (4, "events")])
def test_a_removed_stream_is_named(version: int, key: str) -> None:
    event = Event(type="stream.removed", stream_sid="TO1")

    payload = json.loads(events.stream_removed(version, event))

    removed = {"stream_sid": "TO1"}
    assert payload[key] == (removed if version == 3 else [removed])


@pytest.mark.parametrize("correlation_id", [1795457555461, -1, 2**63 - 1])
def test_the_correlation_id_is_repeated_unchanged(correlation_id: int) -> None:
    [payload] = events.subscription_changed(
        "subscription_established",
        [{"object_sid": "TO1"}],
        version=4,
        correlation_id=correlation_id,
    )

    assert json.loads(payload)["correlation_id"] == correlation_id
    assert b'"correlation_id":%b,' % str(correlation_id).encode() in payload


def test_subscription_events_are_joined_in_version_4_and_single_in_version_3() -> None:
    changes = [{"object_sid": "TO1"}, {"object_sid": "TO2"}]

    joined = canceled(changes, version=4)
    single = canceled(changes, version=3)

    assert [json.loads(payload)["events"] for payload in joined] == [changes]
    assert [json.loads(payload)["event"] for payload in single] == changes


def test_no_subscription_event_makes_no_notification() -> None:
    assert canceled([], version=4) == []
