"""Bodies: the parameters of a request, and the JSON of an answer.

Parameters come as a form, as Twilio's clients send them, or as JSON; their names are
the same in both. Reading is strict: forms per
https://url.spec.whatwg.org/#urlencoded-parsing or RFC 7578 but refusing what is not
UTF-8, JSON per RFC 8259.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from sync_streams.errors import DataTooLarge, InvalidJSON, InvalidParameter
from sync_streams.operations.data import read_json

Parameters = dict[str, Any]
"""A request's parameters; those of a form are text."""

MAX_BODY_BYTES = 262_144
"""Far above what 4,096 bytes of data need, however they are escaped."""

MAX_PARAMETERS = 100

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


def read_parameters(body: bytes, content_type: str) -> Parameters:
    """Return the parameters in a body; an empty one may be of any type.

    Args:
        body: as sent, or its first ``MAX_BODY_BYTES`` and at least one more.
        content_type: value of the header, with its options.

    Raises:
        DataTooLarge: 54006, the body exceeds ``MAX_BODY_BYTES``.
        InvalidParameter: 20001, the body is of another type or charset, or no form.
        InvalidJSON: 54008, it is to be JSON and is no object.
    """
    if len(body) > MAX_BODY_BYTES:
        raise DataTooLarge
    return _reader(content_type)(body) if body else {}


def write_json(data: object) -> bytes:
    """Write the body of an answer: compact JSON in UTF-8."""
    return _ENCODER.encode(data).encode()


def _reader(content_type: str) -> Callable[[bytes], Parameters]:
    reader = _READERS.get(content_type)
    if reader is not None:
        return reader
    media_type, options = parse_header_parameters(content_type)
    if options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise InvalidParameter("Invalid Content-Type: expected charset utf-8")
    if media_type == MULTIPART:
        return partial(_read_multipart, content_type)
    reader = _READERS.get(media_type)
    if reader is None:
        raise InvalidParameter(f"Invalid Content-Type: expected {FORM} or {JSON}")
    return reader


def _read_form(body: bytes) -> Parameters:
    if _BROKEN_ESCAPE.search(body):
        raise InvalidParameter("Invalid request body: broken percent-encoding")
    if body.count(b"&") >= MAX_PARAMETERS:
        raise InvalidParameter("Invalid request body: too many parameters")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise InvalidParameter("Invalid request body: not UTF-8") from error
    return dict(pairs)


def _read_multipart(content_type: str, body: bytes) -> Parameters:
    # The parser takes the type in lower case only.
    content_type = MULTIPART + content_type.strip()[len(MULTIPART) :]
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": len(body)}
    try:
        # Latin-1 keeps each byte: the parser itself would replace what is not UTF-8.
        fields, _ = MultiPartParser(meta, BytesIO(body), [], "latin-1").parse()
    except MultiPartParserError as error:
        raise InvalidParameter(f"Invalid request body: expected {MULTIPART}") from error
    if sum(len(values) for _, values in fields.lists()) > MAX_PARAMETERS:
        raise InvalidParameter("Invalid request body: too many parameters")
    try:
        return {_to_utf8(name): _to_utf8(str(value)) for name, value in fields.items()}
    except ValueError as error:
        raise InvalidParameter("Invalid request body: not UTF-8") from error


def _to_utf8(text: str) -> str:
    return text.encode("latin-1").decode()


def _read_json(body: bytes) -> Parameters:
    parameters = read_json(body)
    if not isinstance(parameters, dict):
        raise InvalidJSON
    # A form cannot say null: there a parameter is left out.
    return {name: value for name, value in parameters.items() if value is not None}


_READERS = {FORM: _read_form, JSON: _read_json}
