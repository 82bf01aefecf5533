"""Renderer of Django REST framework's views: JSON in UTF-8 (RFC 8259)."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from .bodies import write_json


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
        return b"" if data is None else write_json(data)
