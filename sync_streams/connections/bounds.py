"""Limits of an HTTP request, in bytes and seconds, and the refusals that enforce them.

A server reads a request before it knows who sent it, so each part of one has a size and
a time limit. A request that exceeds a limit is answered and its connection closed. The
sizes are exact: a request that just reaches a limit is served.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from sync_streams.conf import get_settings
from sync_streams.errors import (
    DataTooLarge,
    InternalError,
    InvalidParameter,
    ServiceUnavailable,
    SyncError,
)

MAX_HEAD_BYTES = 65_536
"""Request line and headers."""

MAX_HEADERS = 256

HEAD_SECONDS = 10
"""Time for a head, from the connection or the first byte after a previous request."""

BODY_SECONDS = 10
"""Time for a body, or for each further :data:`BODY_STEP_BYTES` of an upload."""

BODY_STEP_BYTES = 262_144

UNREAD_SECONDS = 30
"""Time that a client may leave a response unread before it is disconnected."""

LINGER_SECONDS = 2
LINGER_BYTES = 1_048_576
"""What a refused client may still send. Closing immediately would reset the connection
and discard the response before the client has read it (RFC 9112, section 9.6)."""

RETRY_AFTER_SECONDS = 1
"""Seconds after which a request that found no place may be retried."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that ends a connection: a status, and an error in REST's form."""

    status: int
    error: SyncError

    @property
    def body(self) -> bytes:
        """The body, in the form of any API error."""
        fields = self.error.to_dict() | {"status": self.status}
        return json.dumps(fields, separators=(",", ":")).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, in ASGI's form."""
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
        """The whole response as HTTP/1.1."""
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
FAULT = Refusal(InternalError.status, InternalError())


def max_body_bytes(path: str) -> int:
    """Return the maximum size of a body sent to a path."""
    settings = get_settings()
    uploads = settings.upload_paths.items()
    sizes = (size for prefix, size in uploads if path.startswith(prefix))
    return max(sizes, default=settings.max_body_bytes)
