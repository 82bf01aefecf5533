"""``python -m tests.door.guided TARGET FOLDER [OPTION…]``: one target for atheris.

It looks for inputs that reach new code, and keeps them in a folder. Hypothesis, which
knows what good input looks like, has the same targets in ``python -m tests.fuzz``. An
input that raises an unexpected exception ends the process. Without arguments, the
targets are listed. See https://github.com/google/atheris.
"""

import hashlib
import hmac
import json
import os
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import atheris
import django

# Django's modules are not ours, and its apps need the settings first.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
with atheris.instrument_imports(include=["sync_streams"]):
    django.setup()
    from django.urls import Resolver404, resolve

    from sync_streams.delivery.events import MESSAGE, Event, is_readable
    from sync_streams.errors import SyncError
    from sync_streams.layers import RedisChannelLayer
    from sync_streams.operations.data import Message
    from sync_streams.rest.bodies import read_parameters
    from sync_streams.rest.credentials import authenticate
    from sync_streams.rest.messages import read_message_data
    from sync_streams.rest.pagination import Cursor, InvalidPageToken
    from sync_streams.tokens import issue_token, read_token
    from sync_streams.twilsock import frames, requests, subscriptions, tunnel
    from sync_streams.twilsock.encoder import TwilsockEncoder
    from sync_streams.uvicorn.publish_path import read_head
    from sync_streams.websocket import protocol
    from tests import settings as site

SID = "TO" + "0" * 32
CONTENT_TYPES = "application/x-www-form-urlencoded", "application/json", "text/plain"
LAYER = RedisChannelLayer(hosts=["redis://127.0.0.1:1"])
GOOD_TOKEN = issue_token("alice", "IS" + "0" * 32, account_sid=site.ACCOUNT_SID)
CREDENTIALS = f"{site.ACCOUNT_SID}:{site.AUTH_TOKEN}".encode()


def twilsock_frames(data: bytes) -> None:
    """Read a frame of an SDK."""
    with suppress(frames.FrameError, SyncError):
        frames.decode(data)


def tunnel_requests(data: bytes) -> None:
    """Read a request of the tunnel: its header, and its body as a batch."""
    header, _, payload = data.partition(b"\n")
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError):
        return
    wrapped: dict[str, object] = {
        "method": "message",
        "id": "TM1",
        "active_grant": "data_sync",
    }
    wrapped |= {"payload_size": len(payload), "http_request": fields}
    with suppress(frames.FrameError, SyncError, Resolver404):
        request = requests.read_request(frames.decode(frames.encode(wrapped, payload)))
        resolve(request.path, urlconf=tunnel.__name__)
        subscriptions.read_batch(request.fields)


def json_socket(data: bytes) -> None:
    """Read a text frame of the JSON socket."""
    with suppress(SyncError, UnicodeDecodeError):
        protocol.parse(data.decode())


def rest_bodies(data: bytes) -> None:
    """Read the data of a Message from a body of any type."""
    content_type = CONTENT_TYPES[data[0] % 3] if data else ""
    with suppress(SyncError):
        Message.new(SID, read_message_data(read_parameters(data[1:], content_type)))


def publish_heads(data: bytes) -> None:
    """Read the head of a publish request."""
    read_head(data)


def page_tokens(data: bytes) -> None:
    """Read a page token, including correctly encoded ones."""
    for token in (data.decode("latin-1"), urlsafe_b64encode(data).decode().rstrip("=")):
        with suppress(InvalidPageToken):
            Cursor.from_token(token)


def basic_headers(data: bytes) -> None:
    """Read a header that must not log in without the right credentials."""
    encoded = f"Basic {b64encode(data).decode()}"
    for header in (data.decode("latin-1"), encoded):
        with suppress(SyncError):
            assert authenticate(header)
            assert data.strip() == CREDENTIALS


def access_tokens(data: bytes) -> None:
    """Read a token: spoilt, or signed with arbitrary claims."""
    header = GOOD_TOKEN.partition(".")[0]
    signed = f"{header}.{urlsafe_b64encode(data).decode().rstrip('=')}"
    secret = site.API_KEY_SECRET.encode()
    mac = hmac.digest(secret, signed.encode(), hashlib.sha256)
    whole = f"{signed}.{urlsafe_b64encode(mac).decode().rstrip('=')}"
    for token in (data.decode("latin-1"), whole):
        with suppress(SyncError):
            read_token(token)


def redis_events(data: bytes) -> None:
    """Read an event from Redis, and encode it for an SDK if it is a Message."""
    try:
        event = LAYER.deserialize(data)
    except Exception:
        return  # the layer counts and reports every error
    if is_readable(event) and event["type"] == MESSAGE:
        TwilsockEncoder(3).message_published(cast("Event", event))


TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "twilsock_frames": (
        twilsock_frames,
        [b'TWILSOCK V3.0 60\r\n{"id":"TM1","method":"message","payload_size":2}\r\n{}'],
    ),
    "tunnel_requests": (
        tunnel_requests,
        [
            b'{"host":"a","path":"/v3/Streams/x","method":"GET"}\n{}',
            b'{"path":"/v4/Subscriptions","method":"POST"}\n{"action":"establish",'
            b'"event_protocol_version":4,"correlation_id":1,'
            b'"requests":[{"object_sid":"TO1","object_type":"stream"}]}',
        ],
    ),
    "json_socket": (
        json_socket,
        [b'{"type":"publish","id":1,"stream":"a","data":{"b":[1.5,null,"\\ud83d"]}}'],
    ),
    "rest_bodies": (rest_bodies, [b"\0Data=%7B%22a%22%3A1%7D", b'\1{"Data":{"a":1}}']),
    "publish_heads": (
        publish_heads,
        [b"POST /v1/Services/a/Streams/b/Messages HTTP/1.1\r\nHost: a\r\n\r\n"],
    ),
    "page_tokens": (
        page_tokens,
        [Cursor(">", 1_700_000_000_000_000, "TO" + "0" * 32).to_token().encode()],
    ),
    "basic_headers": (basic_headers, [b"AC1:b", b"Basic QUMxOmI=", CREDENTIALS]),
    "access_tokens": (
        access_tokens,
        [GOOD_TOKEN.encode(), b'{"iss":"%b"}' % site.API_KEY_SID.encode()],
    ),
    "redis_events": (redis_events, [LAYER.serialize({"type": MESSAGE, "text": "{}"})]),
}


def main(name: str, corpus: str) -> None:
    """Try inputs of one target for as long as libFuzzer's options say."""
    target, seeds = TARGETS[name]
    for number, seed in enumerate(seeds):
        Path(corpus, str(number)).write_bytes(seed)
    atheris.Setup([sys.argv[0], corpus, *sys.argv[3:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:3])
    else:
        sys.stdout.writelines(f"{name}\n" for name in TARGETS)
