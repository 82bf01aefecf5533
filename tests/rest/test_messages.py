import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from sync_streams.models import Service, Stream
from tests.overrides import sync_settings
from tests.rest.api import FORM, JSON, Api, failure, read

NO_DATA = (400, 54251, "Invalid Message Stream Message data")
BAD_DATA = (
    400,
    54008,
    "Invalid request body: the type of one of the attributes is invalid",
)
TOO_LARGE = (413, 54006, "Request entity too large")

each_body = hypothesis_settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _data_of(size: int) -> dict[str, str]:
    return {"x": "a" * (size - len('{"x":""}'))}


def test_message_is_a_sid_and_the_data(api: Api, messages_path: str) -> None:
    data = {"id": "bob", "x": 256, "é": [1.5, None, True, {"🙂": ""}]}

    response = api.publish(messages_path, data)

    body = read(response)
    assert response.status_code == 201
    assert list(body) == ["sid", "data"]
    assert body["sid"].startswith("TZ")
    assert len(body["sid"]) == 34
    assert body["data"] == data


@pytest.mark.parametrize("data", [{"a": 1}, '{"a": 1}'], ids=["an object", "JSON text"])
def test_json_body_carries_data(api: Api, messages_path: str, data: object) -> None:
    response = api.post_json(messages_path, {"Data": data})

    assert response.status_code == 201
    assert read(response)["data"] == {"a": 1}


def test_stream_is_found_by_name_in_the_default_service(api: Api) -> None:
    api.post("/v1/Services/default/Streams", UniqueName="my stream")

    response = api.publish("/v1/Services/default/Streams/my%20stream/Messages", {})

    assert response.status_code == 201
    assert read(response)["data"] == {}


@pytest.mark.parametrize("data", ["null", " null "])
def test_null_is_no_data(api: Api, messages_path: str, data: str) -> None:
    assert failure(api.post(messages_path, Data=data)) == NO_DATA


@pytest.mark.parametrize("parameters", [{}, {"Data": None}, {"Data": "null"}])
def test_null_is_no_data_in_json(
    api: Api, messages_path: str, parameters: dict[str, object]
) -> None:
    assert failure(api.post_json(messages_path, parameters)) == NO_DATA


@pytest.mark.parametrize("content_type", [FORM, JSON, "", "text/plain"])
def test_empty_body_is_no_data(api: Api, messages_path: str, content_type: str) -> None:
    response = api.send("POST", messages_path, content_type=content_type)

    assert failure(response) == NO_DATA


@pytest.mark.parametrize(
    "data",
    [
        "",
        " ",
        "{",
        "{}x",
        "{id: 1}",
        "{'id': 1}",
        "plain",
        "True",
        "5",
        "1.5",
        "true",
        '"text"',
        "[1]",
        '{"x": NaN}',
        '{"x": Infinity}',
        '{"x": -Infinity}',
        '{"x": 1e400}',
        '{"x": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"x": "\x00"}',
        '{"x": ' + "9" * 5000 + "}",
        '{"x": ' + "[" * 500 + "]" * 500 + "}",
        '{"x": ' + "[" * 3000 + "]" * 3000 + "}",
        "[" * 60_000,
        '{"x":' * 9_000,
    ],
)
def test_data_other_than_a_json_object_is_refused(
    api: Api, messages_path: str, data: str
) -> None:
    assert failure(api.post(messages_path, Data=data)) == BAD_DATA


@pytest.mark.parametrize("data", [5, 1.5, True, [1], "", "[]", "plain"])
def test_data_other_than_a_json_object_is_refused_in_json(
    api: Api, messages_path: str, data: object
) -> None:
    assert failure(api.post_json(messages_path, {"Data": data})) == BAD_DATA


@pytest.mark.parametrize("depth", [64, 65])
def test_data_may_be_64_levels_deep(api: Api, messages_path: str, depth: int) -> None:
    data: Any = {}
    for _ in range(depth - 1):
        data = {"x": data}

    response = api.publish(messages_path, data)

    assert response.status_code == (201 if depth == 64 else 400)


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "JSON"])
def test_data_may_have_4096_bytes_and_no_more(
    api: Api, messages_path: str, as_json: bool
) -> None:
    def publish(size: int) -> Any:
        data = _data_of(size)
        if as_json:
            return api.post_json(messages_path, {"Data": data})
        return api.publish(messages_path, data)

    assert publish(4096).status_code == 201
    assert failure(publish(4097)) == TOO_LARGE


def test_data_is_measured_as_compact_utf_8(api: Api, messages_path: str) -> None:
    fits = {"x": "é" * ((4096 - len('{"x":""}')) // 2)}
    exceeds = {"x": fits["x"] + "é"}
    escaped = json.dumps(fits, indent=8)

    assert api.post(messages_path, Data=escaped).status_code == 201
    assert failure(api.publish(messages_path, exceeds)) == TOO_LARGE


def test_huge_body_is_refused_unread(api: Api, messages_path: str) -> None:
    at_the_bound = "Data=%7B%7D&x=".ljust(262_144, "a")

    taken = api.send("POST", messages_path, at_the_bound)
    refused = api.send("POST", messages_path, at_the_bound + "a")

    assert taken.status_code == 201
    assert failure(refused) == TOO_LARGE


def test_31st_message_of_the_window_is_refused(api: Api, messages_path: str) -> None:
    # Ten seconds instead of one: no machine is too slow to send 31 requests then.
    with sync_settings(publish_rate=3, publish_window_seconds=10):
        answers = [api.publish(messages_path, {"n": n}) for n in range(31)]

    stream_sid = messages_path.split("/")[5]
    text = f"Rate limit exceeded for write-stream-{stream_sid}"
    assert [answer.status_code for answer in answers] == [201] * 30 + [429]
    assert failure(answers[30]) == (429, 54009, text)
    assert 1 <= int(answers[30]["Retry-After"]) <= 10


def test_refused_data_spends_nothing(api: Api, messages_path: str) -> None:
    with sync_settings(publish_rate=1, publish_window_seconds=10):
        refused = [api.post(messages_path, Data="[]") for _ in range(20)]
        taken = [api.publish(messages_path, {}) for _ in range(10)]

    assert {failure(answer)[1] for answer in refused} == {54008}
    assert {answer.status_code for answer in taken} == {201}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "FOO"])
def test_nothing_but_publishing_is_there(
    api: Api, messages_path: str, method: str
) -> None:
    response = api.send(method, messages_path)

    assert response.status_code == 405
    assert response["Allow"] == "POST, OPTIONS"
    if method != "HEAD":
        assert failure(response) == (405, 20004, "Method not allowed")


def test_single_message_has_no_address(api: Api, messages_path: str) -> None:
    message = read(api.publish(messages_path, {}))

    response = api.get(f"{messages_path}/{message['sid']}")

    assert failure(response)[:2] == (404, 20404)


@pytest.mark.parametrize("ref", ["nobody", "TO" + "0" * 32, "%00"])
def test_missing_stream_takes_no_message(api: Api, service: Service, ref: str) -> None:
    path = f"/v1/Services/{service.sid}/Streams/{ref}/Messages"
    text = f"The requested resource {path.removeprefix('/v1')} was not found"

    assert failure(api.publish(path, {})) == (404, 20404, text)


def test_publishing_touches_no_date(api: Api, stream: Stream) -> None:
    path = f"/v1/Services/{stream.service_id}/Streams/{stream.sid}"
    before = read(api.get(path))

    api.publish(f"{path}/Messages", {})

    assert read(api.get(path)) == before


@each_body
@given(body=strategies.binary(max_size=300))
@pytest.mark.parametrize("content_type", [FORM, JSON, "text/plain", ";;"])
def test_any_bytes_get_an_answer(
    api: Api, messages_path: str, content_type: str, body: bytes
) -> None:
    response = api.send("POST", messages_path, body, content_type)

    assert response.status_code in {201, 400, 413, 429}
    assert read(response)


@each_body
@given(text=strategies.text(max_size=200))
def test_any_text_as_data_gets_an_answer(
    api: Api, messages_path: str, text: str
) -> None:
    encoded = text.encode("utf-8", "surrogatepass").hex("%")
    body = f"Data=%{encoded}" if encoded else "Data="

    response = api.send("POST", messages_path, body)

    assert response.status_code in {201, 400, 429}
    assert read(response)


json_values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(),
    lambda values: (
        strategies.lists(values) | strategies.dictionaries(strategies.text(), values)
    ),
    max_leaves=20,
)


@each_body
@given(data=json_values)
def test_data_is_returned_as_it_was_sent(
    api: Api, messages_path: str, settings: Settings, data: Any
) -> None:
    settings.SYNC_STREAMS = {**settings.SYNC_STREAMS, "PUBLISH_RATE": 1_000_000}
    response = api.publish(messages_path, data)

    if response.status_code == 201:
        assert read(response)["data"] == data
    else:
        assert failure(response)[:2] in {(400, 54008), (400, 54251), (413, 54006)}
