"""Data of a Message: any JSON object of at most 4,096 bytes, and nothing else."""

import json
import math
import sys
from contextlib import suppress
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_streams.errors import (
    DataTooLarge,
    InvalidJSON,
    InvalidMessageData,
    SyncError,
)
from sync_streams.operations.data import (
    MAX_DATA_BYTES,
    MAX_DEPTH,
    MAX_TEXT_BYTES,
    Message,
    read_data,
    read_json,
)
from sync_streams.values.sids import is_sid, new_stream_sid

STREAM_SID = new_stream_sid()

# Values that JSON can express: any text without lone surrogates, finite numbers.
texts = st.text()
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)

# Values that Python can hold, or a hostile client can send, beyond those.
any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes()
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters()), inner)
    ),
    max_leaves=20,
)


def compact_size(data: object) -> int:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode())


def nested(depth: int) -> dict[str, Any]:
    """Return an object with *depth* levels, itself included."""
    data: dict[str, Any] = {}
    for _ in range(depth - 1):
        data = {"a": data}
    return data


def sized(size: int, letter: str = "x") -> dict[str, Any]:
    """Return an object of *size* bytes of compact JSON."""
    width = len(letter.encode())
    count, rest = divmod(size - compact_size({"a": ""}), width)
    return {"a": letter * count + "x" * rest}


@given(json_objects)
def test_any_small_json_object_is_published_unchanged(data: dict[str, Any]) -> None:
    if compact_size(data) > MAX_DATA_BYTES:
        return

    message = Message.new(STREAM_SID, data)

    assert message.data == data
    assert json.loads(message.text) == data
    assert len(message.text.encode()) == compact_size(data)


@given(json_objects, st.sampled_from([None, 1, "\t"]))
def test_text_with_any_spacing_comes_out_compact(
    data: dict[str, Any], indent: int | str | None
) -> None:
    text = json.dumps(data, indent=indent)
    if compact_size(data) > MAX_DATA_BYTES or len(text) > MAX_TEXT_BYTES:
        return

    message = Message.new(STREAM_SID, read_data(text))

    assert message.data == data
    assert "\n" not in message.text


@given(any_values)
def test_any_other_value_raises_nothing_but_a_sync_error(data: object) -> None:
    with suppress(SyncError):
        json.loads(Message.new(STREAM_SID, data).text.encode())


@given(st.text(st.characters()))
@example('{"a":1e400}')
@example('{"a":-1e400}')
@example('{"a":' + "9" * 5_000 + "}")
@example('{"a":0.' + "9" * 5_000 + "e" + "9" * 100 + "}")
@example("[" * 60_000)
@example('{"a":' * 10_000)
@example("\x00")
@example("\ufeff{}")
def test_any_text_raises_nothing_but_a_sync_error(text: str) -> None:
    with suppress(SyncError):
        Message.new(STREAM_SID, read_data(text))


@given(st.binary())
@example(b'{"a":"\xff"}')
@example(b'{"a":"\xed\xa0\x80"}')
def test_any_bytes_raise_nothing_but_a_sync_error(text: bytes) -> None:
    with suppress(SyncError):
        read_json(text)


def test_a_message_knows_its_stream_and_has_a_sid_of_its_own() -> None:
    messages = [Message.new(STREAM_SID, {}) for _ in range(2)]

    assert {message.stream_sid for message in messages} == {STREAM_SID}
    assert all(is_sid(message.sid, "TZ") for message in messages)
    assert messages[0].sid != messages[1].sid


@pytest.mark.parametrize("letter", ["x", "\xe4", "\u20ac", "\U0001f600", '"', "\\"])
def test_data_of_4096_bytes_is_accepted(letter: str) -> None:
    width = compact_size(letter) - compact_size("")
    data = {"a": letter * ((MAX_DATA_BYTES - 8) // width)}
    data["a"] += "x" * (MAX_DATA_BYTES - compact_size(data))

    assert len(Message.new(STREAM_SID, data).text.encode()) == MAX_DATA_BYTES


@pytest.mark.parametrize("letter", ["x", "\xe4", "\u20ac", "\U0001f600"])
def test_data_of_4097_bytes_is_refused(letter: str) -> None:
    with pytest.raises(DataTooLarge):
        Message.new(STREAM_SID, sized(MAX_DATA_BYTES + 1, letter))


@pytest.mark.parametrize("data", [nested(MAX_DEPTH), {"a": [[]] * 100}])
def test_data_of_64_levels_is_accepted(data: dict[str, Any]) -> None:
    assert Message.new(STREAM_SID, data).data == data


def test_braces_in_texts_do_not_count_as_levels() -> None:
    data = {"{[" * 100: "[{" * 100}

    assert Message.new(STREAM_SID, data).data == data


def test_both_lists_and_objects_count_as_levels() -> None:
    data: Any = []
    for _ in range(MAX_DEPTH - 2):
        data = [data]

    assert Message.new(STREAM_SID, {"a": data}).data == {"a": data}
    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, {"a": [data]})


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
def test_deeper_data_is_refused(depth: int) -> None:
    with pytest.raises((InvalidJSON, DataTooLarge)):
        Message.new(STREAM_SID, nested(depth))


def test_data_that_contains_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["a"] = data

    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, data)


def test_a_message_without_data_is_refused() -> None:
    with pytest.raises(InvalidMessageData):
        Message.new(STREAM_SID, None)


@pytest.mark.parametrize("data", [[], "{}", 0, True, "", b"{}"], ids=repr)
def test_data_that_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, data)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, {1, 2}, object(), b"x", 10**5000, "\ud800"],
    ids=["nan", "inf", "-inf", "set", "object", "bytes", "huge", "surrogate"],
)
@pytest.mark.parametrize("place", ["value", "list", "deep"])
def test_values_without_a_json_form_are_refused(value: object, place: str) -> None:
    places: dict[str, dict[str, Any]] = {
        "value": {"a": value},
        "list": {"a": [1, value]},
        "deep": {"a": {"b": [{"c": value}]}},
    }

    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, places[place])


@pytest.mark.parametrize("key", [math.nan, math.inf, (1, 2), "\udfff", b"a"])
def test_keys_without_a_json_form_are_refused(key: object) -> None:
    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, {key: 1})


BAD_TEXTS = [
    *("", " ", "{", "}", "{a:1}", "{'a':1}", '{"a":1,}', '{"a":1}{}', "\x00"),
    *('{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1e400}'),
    *('{"a":-1e400}', '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":0x1}'),
    *('{"a":"\n"}', '{"a":"\\x41"}', "\ufeff{}", "{}//", "None", "True"),
]


@pytest.mark.parametrize("text", BAD_TEXTS, ids=repr)
def test_text_that_is_no_strict_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidJSON):
        read_data(text)


LARGEST = int(sys.float_info.max)


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, 2**53 + 1, 10**308])
def test_a_whole_number_within_a_double_is_accepted(number: int) -> None:
    message = Message.new(STREAM_SID, read_data(f'{{"a":{number}}}'))

    assert message.data == {"a": number}
    assert Message.new(STREAM_SID, {"a": number}).text == f'{{"a":{number}}}'


@pytest.mark.parametrize(
    "number", [LARGEST + 10**292, 10**309, -(10**309), int("9" * 400), 10**4000]
)
def test_a_whole_number_beyond_a_double_is_refused(number: int) -> None:
    with pytest.raises(InvalidJSON):
        read_data(f'{{"a":[{number}]}}')
    with pytest.raises((InvalidJSON, DataTooLarge)):
        Message.new(STREAM_SID, {"a": [{"b": number}]})


@pytest.mark.parametrize(
    "data",
    [
        {1: "a", "1": "b"},
        {1: "a"},
        {None: "a", "null": "b"},
        {True: 1},
        {1.5: 1},
        {"a": [{"b": ({2: 1},)}]},
    ],
    ids=repr,
)
def test_a_key_that_is_not_text_is_refused(data: dict[Any, Any]) -> None:
    with pytest.raises(InvalidJSON):
        Message.new(STREAM_SID, data)


class Level(IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


def test_a_message_contains_the_data_that_subscribers_receive() -> None:
    given = {"a": (1, (2,)), "b": Level.HIGH, Word("c"): Word("d"), "e": 2.0, "f": True}

    message = Message.new(STREAM_SID, given)

    assert message.data == json.loads(message.text)
    assert message.data == {"a": [1, [2]], "b": 3, "c": "d", "e": 2.0, "f": True}
    assert {type(key) for key in message.data} == {str}
    assert type(message.data["b"]) is int


def test_a_message_does_not_change_with_its_source() -> None:
    given: dict[str, Any] = {"a": [1]}
    message = Message.new(STREAM_SID, given)

    given["a"].append(2)
    given["b"] = 3

    assert message.data == {"a": [1]}


@given(json_objects)
def test_data_read_from_json_needs_no_copy(data: dict[str, Any]) -> None:
    read = read_data(json.dumps(data))
    try:
        copied = Message.new(STREAM_SID, read)
    except DataTooLarge:
        return

    message = Message.new(STREAM_SID, read, is_read=True)

    assert (message.text, repr(message.data)) == (copied.text, repr(copied.data))


def test_the_last_of_two_equal_keys_counts() -> None:
    message = Message.new(STREAM_SID, read_data('{"a":1,"a":2}'))

    assert message.text == '{"a":2}'


def test_spaces_do_not_count_against_the_size() -> None:
    text = json.dumps(sized(MAX_DATA_BYTES))

    data = read_data(text + " " * (MAX_TEXT_BYTES - len(text)))

    assert len(Message.new(STREAM_SID, data).text) == MAX_DATA_BYTES


def test_text_beyond_64_kib_is_refused_unread() -> None:
    with pytest.raises(DataTooLarge):
        read_data("{}" + " " * (MAX_TEXT_BYTES - 1))


def test_escapes_do_not_count_against_the_size() -> None:
    text = '{"a":"' + r"\u0041" * (MAX_DATA_BYTES - 8) + '"}'

    assert len(Message.new(STREAM_SID, read_data(text)).text) == MAX_DATA_BYTES
