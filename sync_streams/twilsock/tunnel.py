"""Routes of the tunnelled Streams API, from each request to its operation and back.

They are ordinary Django ``path()`` entries, resolved like those of a site. See
https://docs.djangoproject.com/en/stable/topics/http/urls/.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from urllib.parse import unquote

from django.urls import Resolver404, path, re_path, register_converter, resolve
from django.urls.converters import StringConverter

from sync_streams import operations
from sync_streams.connections.subscriber import to_error
from sync_streams.errors import (
    InvalidParameter,
    InvalidTtl,
    InvalidUniqueName,
    MethodNotAllowed,
    NotFound,
)
from sync_streams.models import Stream
from sync_streams.operations.data import JSONObject, Message
from sync_streams.operations.databases import run
from sync_streams.values.utc import to_iso

from .frames import to_json
from .requests import Call, TunnelReply, refuse
from .subscriptions import change_subscriptions, establish_now

Handler = Callable[..., Awaitable[TunnelReply]]
Tell = Callable[[TunnelReply], None]


async def answer(call: Call) -> TunnelReply:
    """Handle a request.

    Raises:
        SyncError: raised by the operation, or 20404 if no route matches the path, or
            20004 if the route does not support the method.
    """
    try:
        match = resolve(call.request.path, urlconf=__name__)
    except Resolver404 as error:
        raise NotFound from error
    handler = cast("Handler", match.func)
    return await handler(call, **match.kwargs)


def start(call: Call, tell: Tell) -> bool:
    """Start a request to publish or subscribe, if that needs no waiting first.

    Returns:
        Whether that was possible, and *tell* is called with the reply, once, now or
        later. If not, call :func:`answer`, which repeats what was done: some of several
        subscriptions at most.

    Raises:
        SyncError: as :func:`answer`; *tell* is not called.
    """
    try:
        match = resolve(call.request.path, urlconf=__name__)
    except Resolver404:
        return False
    if call.request.method != "POST":
        return False
    if match.url_name == "subscriptions":
        reply = establish_now(call)
        if reply is not None:
            tell(reply)
        return reply is not None
    return match.url_name == "messages" and _start_publish(call, tell, **match.kwargs)


def _start_publish(call: Call, tell: Tell, ref: str) -> bool:
    def told(message: Message, error: Exception | None) -> None:
        tell(_published(message) if error is None else refuse(to_error(error)))

    data, actor = call.request.fields.get("data"), call.connection.actor
    return operations.start_publish(call.service, ref, data, told, actor=actor)


async def fetch_stream(call: Call, ref: str) -> TunnelReply:
    """Return a Stream."""
    stream = await run(
        operations.open_stream, call.service, ref, actor=call.connection.actor
    )
    return TunnelReply(200, describe_stream(stream, call.request.origin))


async def create_stream(call: Call) -> TunnelReply:
    """Create a Stream."""
    fields = call.request.fields
    stream = await run(
        operations.create_stream,
        call.service,
        unique_name=_unique_name(fields),
        ttl=_ttl(fields),
        actor=call.connection.actor,
    )
    return TunnelReply(201, describe_stream(stream, call.request.origin))


async def update_stream(call: Call, ref: str) -> TunnelReply:
    """Change a Stream's TTL."""
    ttl = _ttl(call.request.fields)
    stream = await run(
        operations.update_stream,
        call.service,
        ref,
        ttl=ttl,
        actor=call.connection.actor,
    )
    return TunnelReply(200, describe_stream(stream, call.request.origin))


async def remove_stream(call: Call, ref: str) -> TunnelReply:
    """Remove a Stream, ignoring the body, in which SDKs send a word."""
    await run(operations.remove_stream, call.service, ref, actor=call.connection.actor)
    return TunnelReply(204)


async def publish(call: Call, ref: str) -> TunnelReply:
    """Publish a Message."""
    data = call.request.fields.get("data")
    message = await operations.apublish(
        call.service, ref, data, actor=call.connection.actor
    )
    return _published(message)


async def refuse_object(call: Call) -> TunnelReply:
    """Refuse any Sync object other than a Stream: none are served here."""
    raise InvalidParameter("This server has Streams only, no other Sync objects")


def describe_stream(stream: Stream, origin: str) -> bytes:
    """Write a Stream in the form that the SDK expects, with URLs under *origin*."""
    url = f"{origin}/v3/Streams/{stream.sid}"
    expires = stream.date_expires
    return to_json(
        {
            "sid": stream.sid,
            "unique_name": stream.unique_name,
            "account_sid": stream.account_sid,
            "service_sid": stream.service_id,
            "url": url,
            "links": {"messages": f"{url}/Messages"},
            "date_expires": to_iso(expires) if expires else None,
            "date_created": to_iso(stream.date_created),
            "date_updated": to_iso(stream.date_updated),
            "created_by": stream.created_by,
        }
    )


def _published(message: Message) -> TunnelReply:
    body = f'{{"sid":"{message.sid}","data":{message.text}}}'
    return TunnelReply(201, body.encode())


def _unique_name(fields: JSONObject) -> str | None:
    name = fields.get("unique_name")
    if name is not None and not isinstance(name, str):
        raise InvalidUniqueName
    return name


def _ttl(fields: JSONObject) -> int | None:
    ttl = fields.get("ttl")
    # A bool is an int in Python, but not in JSON.
    if ttl is not None and type(ttl) is not int:
        raise InvalidTtl
    return ttl


class Segment(StringConverter):
    """One segment of a path; ``a%2Fb`` is a single name."""

    def to_python(self, value: str) -> str:
        """Decode it; invalid UTF-8 and dot segments match no route."""
        segment = unquote(value, errors="strict")
        if segment in {".", ".."}:
            raise ValueError(segment)
        return segment


register_converter(Segment, "twilsock_segment")


async def _call(handlers: dict[str, Handler], call: Call, **kwargs: str) -> TunnelReply:
    handler = handlers.get(call.request.method)
    if handler is None:
        raise MethodNotAllowed
    return await handler(call, **kwargs)


def _methods(**handlers: Handler) -> Any:
    # Django's types only allow views; its resolver takes any callable.
    return cast("Any", partial(_call, handlers))


_STREAM = "v3/Streams/<twilsock_segment:ref>"

urlpatterns = [
    path("v3/Streams", _methods(POST=create_stream)),
    path(
        _STREAM,
        _methods(GET=fetch_stream, POST=update_stream, DELETE=remove_stream),
    ),
    path(f"{_STREAM}/Messages", _methods(POST=publish), name="messages"),
    path("v4/Subscriptions", _methods(POST=change_subscriptions), name="subscriptions"),
    re_path("^v3/(?:Documents|Lists|Maps|Insights)", cast("Any", refuse_object)),
]
