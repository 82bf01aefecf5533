"""Parser of Django REST framework's views, for every supported type of body."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from .bodies import MAX_BODY_BYTES, Parameters, read_parameters


class ParameterParser(BaseParser):
    """Reads a body, up to the maximum size."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Parameters:
        return read_parameters(stream.read(MAX_BODY_BYTES + 1), media_type or "")
