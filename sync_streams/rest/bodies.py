"""Bodies: the parameters of a request and the JSON of a response.

Parameters arrive as a form, which is what Twilio's clients send, or as JSON, under the
same names. Parsing is strict: forms follow
https://url.spec.whatwg.org/#urlencoded-parsing or RFC 7578 but must be UTF-8; JSON
follows RFC 8259.
"""

import json
import re
from binascii import a2b_qp
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
"""A request's parameters; in a form, all of them are text."""

MAX_BODY_BYTES = 262_144
"""Far more than 4,096 bytes of data need, however they are escaped."""

MAX_PARAMETERS = 100

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


def read_parameters(body: bytes, content_type: str) -> Parameters:
    """Return the parameters in a body; an empty body may have any type.

    Args:
        body: the body as sent; if it is too long, more than ``MAX_BODY_BYTES`` of it.
        content_type: value of the header, including its options.

    Raises:
        DataTooLarge: 54006, the body exceeds ``MAX_BODY_BYTES``.
        InvalidParameter: 20001, unsupported type or charset, or a malformed form.
        InvalidJSON: 54008, the type is JSON but the body is not a JSON object.
    """
    if len(body) > MAX_BODY_BYTES:
        raise DataTooLarge
    return _reader(content_type)(body) if body else {}


def write_json(data: object) -> bytes:
    """Write the body of a response: compact JSON in UTF-8."""
    return _ENCODER.encode(data).encode()


def read_media_type(content_type: str) -> tuple[str, dict[str, str]]:
    """Return the media type in a ``Content-Type`` header, and its options.

    Raises:
        InvalidParameter: 20001, the header cannot be parsed.
    """
    try:
        return parse_header_parameters(content_type)
    except (TypeError, ValueError) as error:  # TypeError: from Python's own parser
        raise InvalidParameter("Invalid Content-Type") from error


def _reader(content_type: str) -> Callable[[bytes], Parameters]:
    reader = _READERS.get(content_type)
    if reader is not None:
        return reader
    media_type, options = read_media_type(content_type)
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
        name, _, value = body.partition(b"=")
        if name.isalpha() and body.isascii() and b"&" not in value:
            # One parameter, as every publish has: this takes a third of the time.
            return {name.decode(): _unescape(value).decode()}
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise InvalidParameter("Invalid request body: not UTF-8") from error
    return dict(pairs)


def _unescape(value: bytes) -> bytes:
    # Quoted-printable is the same encoding with another sign, and is decoded in C. A
    # sign without two digits, which would mean a line break there, has already been
    # refused.
    quoted = value.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")
    return a2b_qp(quoted)


def _read_multipart(content_type: str, body: bytes) -> Parameters:
    # The parser accepts the type in lower case only.
    content_type = MULTIPART + content_type.strip()[len(MULTIPART) :]
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": len(body)}
    try:
        # Latin-1 keeps every byte; the parser would replace those that are not UTF-8.
        fields, _ = MultiPartParser(meta, BytesIO(body), [], "latin-1").parse()
    except (MultiPartParserError, TypeError) as error:  # as in read_media_type
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
    # A form has no null; it leaves the parameter out.
    return {name: value for name, value in parameters.items() if value is not None}


_READERS = {FORM: _read_form, JSON: _read_json}
