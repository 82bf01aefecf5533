"""docs/asyncapi.json: both sockets as AsyncAPI 3.0, with the documents' own examples.

The examples are the frames of docs/wire-websocket.md and docs/wire-twilsock.md, which
tests replay. See https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sync_streams import __version__

Schema = dict[str, Any]
DOCS = Path(__file__).parents[1]

_TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": ["string", "number"], "description": "Repeated in the response."}
_ANY: Schema = {}
_NUMBER: Schema = {"type": "integer"}
_OBJECT: Schema = {"type": "object"}
_STREAM: Schema = {
    "type": "object",
    "required": ["sid", "unique_name", "date_expires"],
    "properties": {
        "sid": _TEXT,
        "unique_name": {"type": ["string", "null"]},
        "date_expires": {"type": ["string", "null"]},
    },
}
_MESSAGE: Schema = {
    "type": "object",
    "required": ["sid", "data"],
    "properties": {"sid": _TEXT, "data": _OBJECT},
}
_STATUS: Schema = {
    "type": "object",
    "required": ["code", "status"],
    "properties": {"code": _NUMBER, "status": _TEXT, "errorCode": _NUMBER},
}

REQUESTS: dict[str, Schema] = {
    "connect": {"id": _ID, "token": _TEXT},
    "token": {"id": _ID, "token": _TEXT},
    "subscribe": {
        "id": _ID,
        "stream": _TEXT,
        "mode?": {"type": "string", "enum": ["open_or_create"]},
    },
    "unsubscribe": {"id": _ID, "stream": _TEXT},
    "publish": {"id": _ID, "stream": _TEXT, "data": _ANY},
    "ping": {"id?": _ID},
    "pong": {},
}
"""Frames to the server by type; a name with a question mark may be left out."""

ANSWERS: dict[str, Schema] = {
    "connected": {
        "id": _ID,
        "identity": _TEXT,
        "service_sid": _TEXT,
        "expires_at": _TEXT,
    },
    "token_updated": {"id": _ID, "expires_at": _TEXT},
    "token_about_to_expire": {},
    "subscribed": {"id": _ID, "stream": _STREAM},
    "unsubscribed": {"id": _ID, "stream_sid": _TEXT},
    "published": {"id": _ID, "message_sid": _TEXT, "stream_sid": _TEXT},
    "message": {"stream_sid": _TEXT, "message": _MESSAGE},
    "gap": {"stream_sid": _TEXT, "dropped": {"type": ["integer", "null"]}},
    "stream_removed": {"stream_sid": _TEXT},
    "error": {
        "id": {"type": ["string", "number", "null"]},
        "code": _NUMBER,
        "status": _NUMBER,
        "message": _TEXT,
        "more_info": _TEXT,
        "retry_after?": {"type": "number"},
    },
    "ping": {},
    "pong": {"id?": _ID},
    "closing": {
        "code": _NUMBER,
        "reason": _TEXT,
        "reconnect_after": {"type": ["number", "null"]},
    },
}
"""Frames from the server by type."""

TWILSOCK_REQUESTS: dict[str, Schema] = {
    "init": {"id": _TEXT, "token": _TEXT, "registrations?": _ANY},
    "update": {"id": _TEXT, "token": _TEXT},
    "message": {"id": _TEXT, "active_grant": _TEXT, "http_request": _OBJECT},
    "reply": {"id": _TEXT, "status": _STATUS},
    "close": {"id": _TEXT},
}
TWILSOCK_ANSWERS: dict[str, Schema] = {
    "reply": {"id": _TEXT, "status": _STATUS, "http_status?": _STATUS},
    "notification": {"id": _TEXT, "message_type": _TEXT},
    "client_update": {"id": _TEXT, "client_update_type": _TEXT},
    "ping": {"id": _TEXT},
    "close": {"id": _TEXT, "status": _STATUS},
}
"""Headers of Twilsock frames by method; the payload after them is JSON, too."""

_EXAMPLE = re.compile(r"^([<>]) (\{.*\})$", re.MULTILINE)


def render() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> Schema:
    """Return the document."""
    json_socket = _Socket("jsonSocket", "wire-websocket.md", "type")
    twilsock = _Socket("twilsock", "wire-twilsock.md", "method")
    parts = [
        json_socket.described("/v1/websocket", REQUESTS, ANSWERS),
        twilsock.described("/v3/wsconnect", TWILSOCK_REQUESTS, TWILSOCK_ANSWERS),
    ]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sync_streams",
            "version": __version__,
            "description": "The sockets of a server for Twilio Sync Streams.",
            "license": {"name": "BSD-3-Clause"},
        },
        "servers": {"local": {"host": "127.0.0.1:8000", "protocol": "ws"}},
        "defaultContentType": "application/json",
        "channels": {key: value for part in parts for key, value in part[0].items()},
        "operations": {key: value for part in parts for key, value in part[1].items()},
    }


def examples(page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the frames of a document, each with the mark of its direction."""
    for mark, text in _EXAMPLE.findall((DOCS / page).read_text()):
        yield mark, json.loads(text)


class _Socket:
    """One socket: a channel, what it takes and what it sends."""

    def __init__(self, name: str, page: str, discriminator: str) -> None:
        self.name, self.page, self.discriminator = name, page, discriminator

    def described(
        self, address: str, requests: dict[str, Schema], answers: dict[str, Schema]
    ) -> tuple[Schema, Schema]:
        """Return the channel and its operations."""
        groups = {"receive": (">", requests), "send": ("<", answers)}
        messages: Schema = {}
        operations: Schema = {}
        channel = {"$ref": f"#/channels/{self.name}"}
        for action, (mark, kinds) in groups.items():
            ours = {
                f"{action}.{kind}": self._message(kind, fields, mark)
                for kind, fields in kinds.items()
            }
            messages |= ours
            operations[f"{self.name}.{action}"] = {
                "action": action,
                "channel": channel,
                "messages": [
                    {"$ref": f"#/channels/{self.name}/messages/{key}"} for key in ours
                ],
            }
        return {self.name: {"address": address, "messages": messages}}, operations

    def _message(self, kind: str, fields: Schema, mark: str) -> Schema:
        head = {self.discriminator: {"type": "string", "const": kind}}
        properties = {name.rstrip("?"): schema for name, schema in fields.items()}
        required = [name for name in fields if not name.endswith("?")]
        shown = [
            {"payload": frame}
            for direction, frame in examples(self.page)
            if direction == mark and frame.get(self.discriminator) == kind
        ]
        return {
            "name": kind,
            "payload": {
                "type": "object",
                "required": [self.discriminator, *required],
                "properties": head | properties,
            },
            **({"examples": shown} if shown else {}),
        }
