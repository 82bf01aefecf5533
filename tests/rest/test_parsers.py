import re
from io import BytesIO
from urllib.parse import parse_qsl, urlencode

import pytest
from django.http import HttpResponse
from hypothesis import given, strategies

from sync_streams.errors import InvalidJSON, InvalidParameter
from sync_streams.rest.bodies import MAX_PARAMETERS, Parameters
from sync_streams.rest.parsers import ParameterParser
from tests.rest.api import FORM, JSON, Api, failure, read

EXPECTED = (
    "Invalid Content-Type: expected application/x-www-form-urlencoded "
    "or application/json"
)


def _parse(body: bytes, content_type: str = FORM) -> Parameters:
    return ParameterParser().parse(BytesIO(body), content_type)


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=x+y%2Bz", {"a": "x y+z"}),
        (b"a=%C3%A9", {"a": "é"}),
        ("a=é".encode(), {"a": "é"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_form_is_read(body: bytes, parameters: Parameters) -> None:
    assert _parse(body) == parameters


@pytest.mark.parametrize(
    "body", [b"a=%", b"a=%f", b"a=%zz", b"%g0=1", b"a=%FF", b"a=\xff", b"a=%ED%A0%80"]
)
def test_broken_form_is_refused(api: Api, body: bytes) -> None:
    response = api.send("POST", "/v1/Services", body)

    assert failure(response)[:2] == (400, 20001)


def test_form_has_at_most_100_parameters(api: Api) -> None:
    most = "&".join(["a=1"] * MAX_PARAMETERS)

    assert api.send("POST", "/v1/Services", most).status_code == 201
    assert failure(api.send("POST", "/v1/Services", f"{most}&a=1"))[:2] == (400, 20001)


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        (b"{}", {}),
        (b' {"a": 1, "b": null, "c": {"d": null}} ', {"a": 1, "c": {"d": None}}),
        ('{"é": "é"}'.encode(), {"é": "é"}),
    ],
)
def test_json_is_read(body: bytes, parameters: Parameters) -> None:
    assert _parse(body, JSON) == parameters


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"5",
        b"{",
        b"{} {}",
        b'{"a": NaN}',
        b'{"a": \xff}',
        b'\xef\xbb\xbf{"a": 1}',
        "{}".encode("utf-16"),
        b"[" * 200_000,
        b'{"a":' * 50_000,
    ],
)
def test_data_other_than_a_json_object_is_refused(api: Api, body: bytes) -> None:
    response = api.send("POST", "/v1/Services", body, JSON)

    assert failure(response)[:2] == (400, 54008)


@pytest.mark.parametrize(
    "content_type",
    [
        FORM.upper(),
        f"{FORM}; charset=utf-8",
        f'{FORM};charset="UTF-8"',
        f"{FORM}; charset=utf8; x=y",
        f" {FORM}",
    ],
)
def test_content_type_is_parsed_as_http_defines_it(content_type: str) -> None:
    assert _parse(b"a=%C3%A9", content_type) == {"a": "é"}


def _part(name: str, value: bytes, extra: str = "") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        (_part("a", b"1") + _part("b", b"") + b"--x--\r\n", {"a": "1", "b": ""}),
        (_part("a", b"1") + _part("a", b"2") + b"--x--\r\n", {"a": "2"}),
        (_part("\xe9", "\u20ac\r\n".encode()) + b"--x--", {"\xe9": "\u20ac\r\n"}),
        (_part("a", b"1", '; filename="f"') + b"--x--\r\n", {}),
        (b"--x--\r\n", {}),
    ],
)
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        ' Multipart/Form-Data;charset=utf-8; boundary="x"',
    ],
)
def test_multipart_form_is_read(
    body: bytes, parameters: Parameters, content_type: str
) -> None:
    assert _parse(body, content_type) == parameters


def test_a_message_is_published_as_a_multipart_form(
    api: Api, messages_path: str
) -> None:
    body = _part("Data", b'{"a": 1}') + b"--x--\r\n"

    response = api.send("POST", messages_path, body, "multipart/form-data; boundary=x")

    assert read(response)["data"] == {"a": 1}


@pytest.mark.parametrize("options", ["", "; boundary=", "; boundary=\x7f", "; x=y"])
def test_multipart_form_without_a_boundary_is_refused(api: Api, options: str) -> None:
    body = _part("Data", b"{}") + b"--x--\r\n"

    response = api.send("POST", "/v1/Services", body, f"multipart/form-data{options}")

    text = "Invalid request body: expected multipart/form-data"
    assert failure(response) == (400, 20001, text)


def test_multipart_form_that_is_not_utf_8_is_refused(api: Api) -> None:
    body = _part("FriendlyName", b"\xff") + b"--x--\r\n"

    response = api.send("POST", "/v1/Services", body, "multipart/form-data; boundary=x")

    assert failure(response) == (400, 20001, "Invalid request body: not UTF-8")


def test_multipart_form_has_at_most_100_parameters(api: Api) -> None:
    def create(count: int) -> HttpResponse:
        body = _part("a", b"1") * count + b"--x--\r\n"
        return api.send("POST", "/v1/Services", body, "multipart/form-data; boundary=x")

    assert create(MAX_PARAMETERS).status_code == 201
    assert failure(create(MAX_PARAMETERS + 1))[:2] == (400, 20001)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "multipart/mixed; boundary=x", "application/xml", ";", "/"],
)
def test_other_content_types_are_refused(api: Api, content_type: str) -> None:
    response = api.send("POST", "/v1/Services", b"a=1", content_type)

    assert failure(response) == (400, 20001, EXPECTED)


@pytest.mark.parametrize("charset", ["utf-16", "latin1", "hex", "idna", "x"])
@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_other_charsets_are_refused(api: Api, media_type: str, charset: str) -> None:
    content_type = f"{media_type}; charset={charset}"

    response = api.send("POST", "/v1/Services", b"{}", content_type)

    text = "Invalid Content-Type: expected charset utf-8"
    assert failure(response) == (400, 20001, text)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", FORM, f"{FORM}; charset=hex", JSON]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_empty_body_may_be_of_any_type(
    api: Api, method: str, content_type: str
) -> None:
    response = api.send(
        method, "/v1/Services/default?PageSize=%31", content_type=content_type
    )

    assert response.status_code in {200, 204}


@given(strategies.dictionaries(strategies.text(), strategies.text()))
def test_every_form_is_read_as_it_was_meant(parameters: dict[str, str]) -> None:
    assert _parse(urlencode(parameters).encode()) == parameters


@given(
    strategies.binary(),
    strategies.sampled_from([FORM, JSON, "multipart/form-data; boundary=x"]),
)
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    try:
        parameters = _parse(body, content_type)
    except (InvalidParameter, InvalidJSON):
        return
    assert isinstance(parameters, dict)


FORM_ALPHABET = "Data=&+%;2Ce9a0 \t\r\n_"
FORM_TEXT = strategies.text(FORM_ALPHABET, max_size=30).map(str.encode)


@given(body=strategies.one_of(FORM_TEXT, FORM_TEXT.map(lambda text: b"Data=" + text)))
def test_any_form_is_read_as_by_the_standard_library(body: bytes) -> None:
    try:
        parameters: object = _parse(body)
    except InvalidParameter:
        parameters = None

    try:
        expected: object = dict(
            parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
        )
    except UnicodeDecodeError:
        expected = None
    is_broken = re.search(rb"%(?![0-9A-Fa-f]{2})", body) is not None
    assert parameters == (None if is_broken else expected)
