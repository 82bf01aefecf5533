"""Spoilt credentials, page tokens, tunnel requests and events are refused or harmless.

The input is spoilt good input, since the first check would refuse mere noise.
"""

import asyncio
import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio
from django.test import override_settings
from django.urls import Resolver404, resolve
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_streams.delivery.cluster.broadcast import abroadcast_message
from sync_streams.delivery.events import stream_group
from sync_streams.delivery.hub import get_hub
from sync_streams.errors import AuthenticationFailed, SyncError
from sync_streams.layers import RedisChannelLayer
from sync_streams.operations.data import Message
from sync_streams.rest.credentials import authenticate
from sync_streams.rest.pagination import Cursor, InvalidPageToken
from sync_streams.tokens import issue_token, read_token
from sync_streams.twilsock import frames, requests, subscriptions, tunnel
from sync_streams.values.sids import new_stream_sid
from tests import settings as site
from tests.delivery.client import Client, published
from tests.delivery.hubs import stop
from tests.door.spoiling import spoilt, spoilt_text
from tests.overrides import sync_settings

CREDENTIALS = f"{site.ACCOUNT_SID}:{site.AUTH_TOKEN}"
BASIC = f"Basic {b64encode(CREDENTIALS.encode()).decode()}"
PAGE_TOKEN = Cursor(">", 1_700_000_000_000_000, "TO" + "0" * 32).to_token()


@given(spoilt_text(BASIC))
def test_a_spoilt_basic_header_does_not_authenticate_another_account(
    header: str,
) -> None:
    try:
        account_sid = authenticate(header)
    except AuthenticationFailed:
        return
    # If restored by chance: only the right credentials are accepted, in any notation.
    assert account_sid == site.ACCOUNT_SID
    assert b64decode(header.partition(" ")[2]).decode() == CREDENTIALS


@given(spoilt_text(CREDENTIALS))
def test_spoilt_credentials_do_not_authenticate_another_account(
    credentials: str,
) -> None:
    encoded = b64encode(credentials.encode()).decode()
    if credentials == CREDENTIALS:
        assert authenticate(f"Basic {encoded}") == site.ACCOUNT_SID
        return
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Basic {encoded}")


@given(st.data())
def test_a_spoilt_access_token_does_not_speak_for_another_identity(
    data: st.DataObject,
) -> None:
    token = issue_token("alice", "IS" + "0" * 32, account_sid=site.ACCOUNT_SID)
    with suppress(SyncError):
        assert read_token(data.draw(spoilt_text(token))) == read_token(token)


@given(spoilt_text(PAGE_TOKEN))
def test_a_spoilt_page_token_is_refused_or_another_position(token: str) -> None:
    with suppress(InvalidPageToken):
        assert Cursor.from_token(token).to_token() == token


def tunnelled(path: str, method: str, payload: bytes = b"{}") -> bytes:
    request = {"host": "sync.example.org", "path": path, "method": method}
    header = {
        "method": "message",
        "id": "TM1",
        "active_grant": "data_sync",
        "payload_size": len(payload),
        "payload_type": "application/json",
        "http_request": request,
    }
    return frames.encode(header, payload)


TUNNELLED = [
    tunnelled("/v3/Streams", "POST", b'{"unique_name": "news", "ttl": 1}'),
    tunnelled("/v3/Streams/news", "GET"),
    tunnelled("/v3/Streams/news/Messages", "POST", b'{"data": {"a": 1}}'),
    tunnelled(
        "/v4/Subscriptions",
        "POST",
        json.dumps(
            {
                "action": "establish",
                "event_protocol_version": 4,
                "correlation_id": 1,
                "requests": [{"object_sid": "TO1", "object_type": "stream"}],
            }
        ).encode(),
    ),
]


@given(spoilt(st.sampled_from(TUNNELLED)))
def test_a_spoilt_request_of_the_tunnel_is_read_or_refused(data: bytes) -> None:
    with suppress(frames.FrameError, SyncError, Resolver404):
        request = requests.read_request(frames.decode(data))
        fields = request.fields
        resolve(request.path, urlconf=tunnel.__name__)
        subscriptions.read_batch(fields)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
kinds = st.sampled_from(
    [
        *("message.published", "stream.removed", "stream.updated", "service.changed"),
        *("probe", "recovered", "command.drain", "command.disconnect", "survey"),
    ]
)
SID = new_stream_sid()
LAST = {"n": "last"}
GOOD = dict(published(Message.new(SID, {"n": 0})))

events = st.one_of(
    st.builds(
        lambda kind, fields: {**fields, "type": kind},
        kinds,
        st.dictionaries(
            st.sampled_from(["stream_sid", "text", "at", "server", "expires_at"]),
            values,
        ),
    ),
    st.dictionaries(st.sampled_from(list(GOOD)), values).map(
        lambda fields: {**GOOD, **fields, "type": "message.published"}
    ),
    values,
)
serialize = RedisChannelLayer(hosts=["redis://127.0.0.1:1"]).serialize


@pytest.mark.redis
@settings(max_examples=50)
@given(st.lists(spoilt(events.map(serialize)) | events.map(serialize), max_size=20))
def test_unknown_events_from_redis_do_not_stop_delivery(
    redis_url: str, payloads: list[bytes]
) -> None:
    received = asyncio.run(publish_among(redis_url, payloads))

    assert LAST in received


class Listener(Client):
    """A client that ignores invalid JSON: data from Redis is passed on unparsed."""

    def _take(self, text: str) -> None:
        with suppress(ValueError):
            super()._take(text)

    @property
    def data(self) -> list[Any]:
        return [frame["message"]["data"] for frame in self.frames if "message" in frame]


async def publish_among(url: str, payloads: list[bytes]) -> list[Any]:
    """Publish invented data to a Stream's group, and then a Message."""
    config = {
        "BACKEND": "sync_streams.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [url]},
    }
    with (
        override_settings(CHANNEL_LAYERS={"default": config}),
        sync_settings(publish_rate=100_000),
    ):
        hub, client = get_hub(), Listener()
        await hub.start()
        await hub.subscriptions.subscribe(client.outbox, SID, None)
        async with redis.asyncio.Redis.from_url(url) as publisher:
            for payload in payloads:
                await publisher.publish(f"asgi__group__{stream_group(SID)}", payload)
        await abroadcast_message(published(Message.new(SID, LAST)))
        async with asyncio.timeout(20):
            while LAST not in client.data:
                client.arrived.clear()
                await client.arrived.wait()
        await stop(hub)
    return client.data
