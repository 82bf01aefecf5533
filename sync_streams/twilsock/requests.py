"""Requests and replies of the HTTP that is tunnelled over Twilsock; no I/O.

The server's address as the client sees it, host name and any prefix before ``/v3`` or
``/v4``, matters only for the URLs in replies.
"""

import re
from dataclasses import dataclass

from sync_streams.connections.subscriber import SubscriberConsumer
from sync_streams.errors import (
    AccessForbidden,
    InvalidJSON,
    InvalidParameter,
    SyncError,
)
from sync_streams.models import Service
from sync_streams.operations.data import JSONObject, read_json

from .frames import Frame, to_json

GRANT = "data_sync"
"""The only product whose requests are accepted."""

_ROOT = re.compile(r"/v[34]/")


@dataclass(frozen=True, kw_only=True, slots=True)
class TunnelRequest:
    """One request from the client."""

    method: str
    """``GET``, ``POST`` or ``DELETE``."""

    origin: str
    """Everything before ``/v3``: ``https://``, host, and prefix if any."""

    path: str
    """Everything from ``/v3`` on, still percent-encoded."""

    body: bytes
    """As sent; the body of a DELETE need not be JSON."""

    @property
    def fields(self) -> JSONObject:
        """The body, which must be a JSON object; an empty one stands for ``{}``.

        Raises:
            InvalidJSON: 54008.
        """
        fields = read_json(self.body or b"{}")
        if not isinstance(fields, dict):
            raise InvalidJSON
        return fields


@dataclass(frozen=True, slots=True)
class TunnelReply:
    """Outcome of one request."""

    status: int
    """HTTP status."""

    body: bytes = b""
    """JSON."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its connection and Service."""

    request: TunnelRequest
    connection: SubscriberConsumer
    service: Service


def read_request(frame: Frame) -> TunnelRequest:
    """Extract the request from its frame.

    Raises:
        InvalidParameter: 20001, the frame has no valid request.
        AccessForbidden: 54007, the request is for a product other than Sync.
    """
    request = frame.header.get("http_request")
    if not isinstance(request, dict):
        raise InvalidParameter("A message frame needs an http_request")
    if frame.header.get("active_grant", GRANT) != GRANT:
        raise AccessForbidden
    path, host = _text(request, "path"), _text(request, "host")
    root = _ROOT.search(path)
    start = root.start() if root else 0
    return TunnelRequest(
        method=_text(request, "method"),
        origin=f"https://{host or 'localhost'}{path[:start]}",
        path=path[start:].partition("?")[0],
        body=frame.payload,
    )


def refuse(error: SyncError) -> TunnelReply:
    """Write an error in the form that the SDK expects."""
    return TunnelReply(error.status, to_json(error.to_dict()))


def _text(request: JSONObject, name: str) -> str:
    text = request.get(name, "")
    if not isinstance(text, str):
        raise InvalidParameter(f"Invalid {name} in http_request")
    return text
