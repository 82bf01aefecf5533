"""Bounds of a request over HTTP, in bytes and seconds, and how it is refused.

What a server reads before anybody has said who they are costs the same whoever sends
it, so each part of a request has a size and a time, and whatever exceeds one is
answered and closed. The sizes are exact: a request that fills one is served.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from .conf import get_settings
from .errors import DataTooLarge, InvalidParameter, ServiceUnavailable, SyncError

MAX_HEAD_BYTES = 65_536
"""Request line and headers."""

MAX_HEADERS = 256

HEAD_SECONDS = 10
"""Time for a head, from the connection or the first byte after another request."""

BODY_SECONDS = 10
"""Time for a body, or for each further :data:`BODY_STEP_BYTES` of an upload."""

BODY_STEP_BYTES = 262_144

UNREAD_SECONDS = 30
"""Time that a client may leave an answer unread before it is cut off."""

LINGER_SECONDS = 2
LINGER_BYTES = 1_048_576
"""What a refused client may still send, so that it gets to read why: closing at once
resets the connection, and the answer with it (RFC 9112, section 9.6)."""

RETRY_AFTER_SECONDS = 1
"""When a request that found no place may come again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that ends a connection: a status, and an error as REST words it."""

    status: int
    error: SyncError

    @property
    def body(self) -> bytes:
        """Return the body, as of any error of the API."""
        fields = self.error.to_dict() | {"status": self.status}
        return json.dumps(fields, separators=(",", ":")).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, in the form of ASGI."""
        found = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"connection", b"close"),
        ]
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            found.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
        return found

    @property
    def wire(self) -> bytes:
        """Return the whole answer, as HTTP/1.1 writes it."""
        head = b"HTTP/1.1 %d %s\r\n" % (
            self.status,
            HTTPStatus(self.status).phrase.encode(),
        )
        lines = (b"%b: %b\r\n" % header for header in self.headers)
        return b"".join((head, *lines, b"\r\n", self.body))


def _refusal(status: HTTPStatus) -> Refusal:
    return Refusal(status, InvalidParameter(status.phrase))


BAD_REQUEST = _refusal(HTTPStatus.BAD_REQUEST)
TIMED_OUT = _refusal(HTTPStatus.REQUEST_TIMEOUT)
LINE_TOO_LONG = _refusal(HTTPStatus.REQUEST_URI_TOO_LONG)
HEADERS_TOO_LARGE = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
BODY_TOO_LARGE = Refusal(DataTooLarge.status, DataTooLarge())
NO_PLACE = Refusal(ServiceUnavailable.status, ServiceUnavailable())


def max_body_bytes(path: str) -> int:
    """Return how long a body may be at a path."""
    settings = get_settings()
    uploads = settings.upload_paths.items()
    sizes = (size for prefix, size in uploads if path.startswith(prefix))
    return max(sizes, default=settings.max_body_bytes)
