"""Renderer of Django REST framework's views: JSON in UTF-8 (RFC 8259)."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from sync_streams.operations.data import Message

from .bodies import write_json
from .messages import write_message


class JSONRenderer(BaseRenderer):
    """Writes the data of a view's response; without data there is no body."""

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
        if data is None:
            return b""
        return write_message(data) if isinstance(data, Message) else write_json(data)
