"""Replies to the frames that open and renew a Twilsock session; no I/O.

See ``docs/wire-twilsock.md``.
"""

import random
from secrets import token_hex, token_urlsafe

from sync_streams.connections.subscriber import BUSY_STATUSES
from sync_streams.errors import InvalidToken, SyncError
from sync_streams.operations.data import JSONObject

from .frames import Frame, Status, backoff, close, reply

CAPABILITIES = ["client_update"]
"""Capabilities that are confirmed. Telemetry is not, nor offline storage, which would
let a browser open a removed Stream from its cache."""

TOO_BUSY = 51202
"""Twilio's code for a server that asks clients to wait before they reconnect."""

BACKOFF_SECONDS = 2.0, 8.0
MAX_REGISTRATIONS = 16


def welcome(frame: Frame) -> bytes:
    """Accept an ``init``.

    The continuation token is new each time and has no meaning: subscriptions are
    restored because the client asks for them again.
    """
    is_first = not frame.header.get("continuation_token")
    fields = {
        "capabilities": CAPABILITIES,
        "continuation_token": token_urlsafe(16),
        "continuation_token_status": {
            "reissued": True,
            "reissue_reason": "MISSING" if is_first else "EXPIRED",
            "reissue_message": "Missing" if is_first else "Expired",
        },
        "init_registrations": _registrations(frame.header.get("registrations")),
    }
    return reply(frame.id, fields=fields)


def client_of(frame: Frame) -> str:
    """Return how an ``init`` describes its client: SDK, version, browser; unchecked."""
    metadata = frame.header.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    words = (metadata.get(key) for key in ("sdk", "sdkv", "env", "envv"))
    return " ".join(word for word in words if isinstance(word, str))


def refuse(frame: Frame, error: SyncError) -> bytes:
    """Reject any frame other than a tunnelled request.

    After a rejected token, the client waits until it gets another one. A server in
    trouble asks clients to reconnect, each at a different time.
    """
    if isinstance(error, InvalidToken):
        return reply(frame.id, _status(401, error))
    if error.status in BUSY_STATUSES:
        first, last = BACKOFF_SECONDS
        start = random.uniform(first, last)  # noqa: S311 - spread, not secret
        status = Status(code=429, description=error.text, error_code=TOO_BUSY)
        return reply(frame.id, status, payload=backoff(start, last * 2))
    return reply(frame.id, _status(403 if error.status == 404 else error.status, error))


def offload(frame_id: str, within: float) -> bytes:
    """Ask one of many clients to reconnect at a time of its own.

    The SDK waits for 3 seconds, then for approximately the time that it is given.
    """
    status = Status(code=308, text="OFFLOAD", description="The server is leaving")
    pause = random.uniform(0, within)  # noqa: S311 - spread, not secret
    return close(frame_id, status, payload=backoff(pause, within))


def _status(code: int, error: SyncError) -> Status:
    return Status(code=code, description=error.text, error_code=error.code)


def _registrations(asked: object) -> list[JSONObject]:
    if not isinstance(asked, list):
        return []
    return [
        {
            "notification_ctx_id": f"EP{token_hex(16)}",
            "type": item.get("type"),
            "product": item.get("product"),
            "message_types": item.get("message_types"),
        }
        for item in asked[:MAX_REGISTRATIONS]
        if isinstance(item, dict)
    ]
