"""Renderer of every answer: compact JSON in UTF-8 (RFC 8259)."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)


class JSONRenderer(BaseRenderer):
    """Writes what a view answers; no data, no body."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else _ENCODER.encode(data).encode()
