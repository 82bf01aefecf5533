"""Subscriptions of one Twilsock connection: ``POST /v4/Subscriptions``.

The client asks for many Streams at once and repeats the request until it has received
the outcome of each, so requests are idempotent. See ``docs/wire-twilsock.md``.
"""

from dataclasses import dataclass

from sync_streams import operations
from sync_streams.cache.lookups import cached_stream
from sync_streams.errors import (
    AccessForbidden,
    InvalidParameter,
    NotFound,
    StreamNotFound,
    SyncError,
    TooManySubscriptions,
)
from sync_streams.operations.data import JSONObject
from sync_streams.values.sids import is_sid

from . import events
from .encoder import ENCODERS, notification
from .frames import to_json
from .requests import Call, TunnelReply

RETRY_MS = 5000
"""Time after which a client repeats what has not been answered."""

MAX_BATCH_SIZE = 100
"""Streams that a client should put in one request; also how many of them may not exist,
since each of those costs a query."""

_ACCEPTED = TunnelReply(
    200,
    to_json({"estimated_delivery_in_ms": RETRY_MS, "max_batch_size": MAX_BATCH_SIZE}),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One request that covers many Streams."""

    action: str
    """``establish`` or ``cancel``."""

    version: int
    """Version of the event protocol that the client understands."""

    correlation_id: int
    """Repeated in every event that answers the request."""

    objects: list[JSONObject]
    """``object_sid`` and ``object_type`` of each."""


async def change_subscriptions(call: Call) -> TunnelReply:
    """Establish or cancel subscriptions, and notify the client of each outcome.

    Raises:
        InvalidParameter: 20001, the request is malformed.
        ServiceUnavailable: 20503, the channel layer does not respond; the client
            repeats the request.
    """
    batch = read_batch(call.request.fields)
    _choose_encoder(batch, call)
    if batch.action == "establish":
        await _establish(batch, call)
    else:
        _cancel(batch, call)
    return _ACCEPTED


def establish_now(call: Call) -> TunnelReply | None:
    """Establish subscriptions to Streams that this process already receives.

    Returns:
        The reply, or ``None`` if one of them needs waiting or cannot be established:
        then call :func:`change_subscriptions`, which repeats those that were.

    Raises:
        InvalidParameter: 20001, the request is malformed.
    """
    batch = read_batch(call.request.fields)
    if batch.action != "establish":
        return None
    _choose_encoder(batch, call)
    if not all(_is_subscribed_now(item, call) for item in batch.objects):
        return None
    _notify(
        batch, call, subscription_established=list(map(_established, batch.objects))
    )
    return _ACCEPTED


def _choose_encoder(batch: Batch, call: Call) -> None:
    outbox = call.connection.outbox
    if not outbox.streams:
        # Existing subscriptions keep the encoder under which delivery knows them.
        outbox.encoder = ENCODERS[batch.version]


def _is_subscribed_now(item: JSONObject, call: Call) -> bool:
    sid, kind = item["object_sid"], item["object_type"]
    is_stream = kind == "stream" and is_sid(sid, "TO")
    stream = cached_stream(call.service.sid, sid) if is_stream else None
    try:
        return stream is not None and call.connection.subscribe_now(stream)
    except TooManySubscriptions:
        return False


def read_batch(fields: JSONObject) -> Batch:
    """Parse and check the body of a request.

    Raises:
        InvalidParameter: 20001, with the reason.
    """
    version, objects = fields.get("event_protocol_version"), fields.get("requests")
    action, correlation_id = fields.get("action"), fields.get("correlation_id")
    if not isinstance(action, str) or action not in {"establish", "cancel"}:
        raise InvalidParameter("Invalid action")
    if type(version) is not int or version < events.OLDEST_VERSION:
        raise InvalidParameter("Invalid event_protocol_version")
    if type(correlation_id) is not int or not -(2**63) <= correlation_id < 2**63:
        raise InvalidParameter("Invalid correlation_id")
    if not isinstance(objects, list):
        raise InvalidParameter("Invalid requests")
    return Batch(
        action=action,
        version=min(version, events.NEWEST_VERSION),
        correlation_id=correlation_id,
        objects=[_read_object(item) for item in objects],
    )


def _read_object(item: object) -> JSONObject:
    sid = item.get("object_sid") if isinstance(item, dict) else None
    kind = item.get("object_type") if isinstance(item, dict) else None
    if not isinstance(sid, str) or not isinstance(kind, str):
        raise InvalidParameter("Invalid requests")
    return {"object_sid": sid, "object_type": kind}


async def _establish(batch: Batch, call: Call) -> None:
    established: list[JSONObject] = []
    failed: list[JSONObject] = []
    unknown = 0
    for item in batch.objects:
        try:
            await _subscribe(item, call)
        except (AccessForbidden, NotFound, TooManySubscriptions) as error:
            unknown += isinstance(error, NotFound)
            if unknown > MAX_BATCH_SIZE:
                break
            failed.append({**item, "error": _describe(error)})
        else:
            established.append(_established(item))
    # Delivery has already started for each of them, so nothing published after this
    # notification can be missed.
    _notify(batch, call, subscription_established=established)
    _notify(batch, call, subscription_failed=failed)
    if unknown > MAX_BATCH_SIZE:
        raise InvalidParameter("Too many unknown Streams in one request")


def _established(item: JSONObject) -> JSONObject:
    return {**item, "replay_status": "completed", "last_event_id": -1}


async def _subscribe(item: JSONObject, call: Call) -> None:
    sid = item["object_sid"]
    if item["object_type"] != "stream" or not is_sid(sid, "TO"):
        raise StreamNotFound
    stream = await operations.afind_stream(call.service, sid)
    await call.connection.subscribe(stream)


def _cancel(batch: Batch, call: Call) -> None:
    for item in batch.objects:
        call.connection.unsubscribe(item["object_sid"])
    _notify(batch, call, subscription_canceled=batch.objects)


def _describe(error: SyncError) -> JSONObject:
    fields = error.to_dict()
    return {name: fields[name] for name in ("status", "code", "message")}


def _notify(batch: Batch, call: Call, **outcome: list[JSONObject]) -> None:
    for event_type, items in outcome.items():
        for payload in events.subscription_changed(
            event_type,
            items,
            version=batch.version,
            correlation_id=batch.correlation_id,
        ):
            call.connection.outbox.put(notification(payload))
