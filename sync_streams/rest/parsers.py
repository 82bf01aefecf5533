"""Parser of request bodies: forms, as Twilio's clients send them, or JSON.

Both are strict: forms per https://url.spec.whatwg.org/#urlencoded-parsing but refusing
what is not UTF-8, JSON per RFC 8259. The names of parameters are the same in both.
"""

import re
from collections.abc import Callable, Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser

from sync_streams.errors import DataTooLarge, InvalidJSON, InvalidParameter
from sync_streams.operations.data import read_json

Parameters = dict[str, Any]
"""A request's parameters; those of a form are text."""

MAX_BODY_BYTES = 262_144
"""Far above what 4,096 bytes of data need, however they are escaped."""

MAX_PARAMETERS = 100

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class ParameterParser(BaseParser):
    """Reads a body of either type; an empty one may be of any type."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Parameters:
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise DataTooLarge
        return _reader(media_type or "")(body) if body else {}


def _reader(content_type: str) -> Callable[[bytes], Parameters]:
    reader = _READERS.get(content_type)
    if reader is not None:
        return reader
    media_type, options = parse_header_parameters(content_type)
    reader = _READERS.get(media_type)
    if reader is None:
        raise InvalidParameter(f"Invalid Content-Type: expected {FORM} or {JSON}")
    if options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise InvalidParameter("Invalid Content-Type: expected charset utf-8")
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


def _read_json(body: bytes) -> Parameters:
    parameters = read_json(body)
    if not isinstance(parameters, dict):
        raise InvalidJSON
    # A form cannot say null: there a parameter is left out.
    return {name: value for name, value in parameters.items() if value is not None}


_READERS = {FORM: _read_form, JSON: _read_json}
