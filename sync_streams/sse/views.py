"""Views of Server-Sent Events: one below the REST API, one for a host's own views."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from sync_streams import operations
from sync_streams.conf import get_settings
from sync_streams.connections.response import HEADERS, LiveResponse
from sync_streams.errors import (
    AccessForbidden,
    MethodNotAllowed,
    ServiceUnavailable,
    SyncError,
)
from sync_streams.models import DEFAULT_SERVICE, Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.databases import without_transaction
from sync_streams.operations.permissions import aauthorize
from sync_streams.publishing import first_account
from sync_streams.rest.access import enter
from sync_streams.rest.answers import refuse

from .encoder import Render, encoder_for


async def event_stream(  # noqa: PLR0913 - options of a host project's, by keyword
    request: HttpRequest,
    stream: str | Sequence[str],
    *,
    service: str = DEFAULT_SERVICE,
    account_sid: str = "",
    identity: str = "",
    render: Render | None = None,
    is_public: bool = False,
    create: bool = False,
) -> HttpResponseBase:
    """Return a response with a Stream's events, for the host project's own async view.

    Your view decides who may receive them. Users who are not logged in are refused,
    unless *is_public* or the view names an *identity*. Example::

        async def orders(request):
            return await event_stream(request, f"orders-{(await request.auser()).pk}")

    Args:
        request: the request.
        stream: SID or unique name of the Stream, or several.
        service: SID or unique name of the Streams' Service.
        account_sid: the account; by default the first one in the settings.
        identity: who receives them, if not ``request.user``, from a view that
            identifies people in another way. Operators find and disconnect connections
            by it, and ``MAX_CONNECTIONS_PER_IDENTITY`` counts them.
        render: turns a Message's data into the text of its event, such as HTML; by
            default it is JSON.
        is_public: also serve users who are not logged in.
        create: create missing Streams; they never expire.

    Returns:
        ``text/event-stream``, or an error as JSON: 403/54007, the user is not logged
        in; 404/20404, there is no such Stream; 429/20429; 503/20503.
    """
    names = dict.fromkeys([stream] if isinstance(stream, str) else stream)
    try:
        scope = _scope(request)
        who = identity or await _user_name(request)
        if not (who or is_public):
            raise AccessForbidden
        found = await operations.afind_service(account_sid or first_account(), service)
        find = operations.aobtain_stream if create else operations.afind_stream
        streams = [await find(found, name) for name in names]
        connection = LiveResponse(scope, encoder_for(render), found, name=who)
        return await _begin(request, connection, streams)
    except SyncError as error:
        return refuse(request, error)


@without_transaction
@login_not_required
async def session_events(request: HttpRequest, stream: str) -> HttpResponseBase:
    """Return a response with a Stream's events to a logged-in user.

    Route this view as it is; the template tag ``stream_events`` looks for its name::

        path("events/<path:stream>/", session_events, name="stream-events")

    ``AUTHORIZE``, if set, is called with the user as the identity. If it allows
    creating the Stream, a missing one is created. Errors are those of
    :func:`event_stream`, and 403/54007 if the function denies access.
    """
    try:
        scope = _scope(request)
        user = await _user_name(request)
        if not user:
            raise AccessForbidden
        service = await operations.afind_service(first_account(), DEFAULT_SERVICE)
        found = await _find_for(user, service, stream)
        connection = LiveResponse(scope, encoder_for(None), service, name=user)
        return await _begin(request, connection, [found])
    except SyncError as error:
        return refuse(request, error)


@csrf_exempt  # so that a POST is refused like everywhere below /v1
@login_not_required
async def stream_events(
    request: HttpRequest, service_ref: str, stream_ref: str
) -> HttpResponseBase:
    """``GET …/Streams/{ref}/Events``, with Basic credentials or a Bearer access token.

    Each ``?stream=`` adds another Stream.
    """
    try:
        if request.method != "GET":
            raise MethodNotAllowed
        scope = _scope(request)
        service, identity = await enter(request, service_ref)
        encoder = encoder_for(None)
        connection = LiveResponse(scope, encoder, service, identity=identity)
        names = dict.fromkeys([stream_ref, *request.GET.getlist("stream")])
        streams = [await operations.afind_stream(service, name) for name in names]
        return await _begin(request, connection, streams)
    except SyncError as error:
        return refuse(request, error)


async def _find_for(user: str, service: Service, name: str) -> Stream:
    # With a connection_id the actor is not trusted, like holders of access tokens.
    actor = Actor(user, connection_id="session", transport="sse")
    if get_settings().authorize:
        found = await operations.aobtain_stream(service, name, actor=actor)
    else:  # otherwise anyone could fill the database by visiting URLs
        found = await operations.afind_stream(service, name)
    await aauthorize(actor, "subscribe", found)
    return found


async def _begin(
    request: HttpRequest, connection: LiveResponse, streams: Sequence[Stream]
) -> HttpResponseBase:
    has_missed = "Last-Event-ID" in request.headers
    await connection.subscribe(streams, has_missed=has_missed)
    return StreamingHttpResponse(
        connection.body(), content_type="text/event-stream", headers=HEADERS
    )


async def _user_name(request: HttpRequest) -> str:
    ask: Any = getattr(request, "auser", None)
    user = await ask() if ask is not None else None
    if user is None or not user.is_authenticated:
        return ""
    return str(user.get_username())


def _scope(request: HttpRequest) -> dict[str, Any]:
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    if scope is None:
        raise ServiceUnavailable("Server-Sent Events need an ASGI server")
    return scope
