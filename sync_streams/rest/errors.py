"""Errors over REST: ``{"code", "message", "more_info", "status"}``, always as JSON.

See https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    UnreadablePostError,
)
from django.urls import Resolver404, resolve
from django.utils.encoding import escape_uri_path
from django.utils.log import log_response
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from sync_streams.errors import (
    AccessForbidden,
    AuthenticationFailed,
    DataTooLarge,
    InternalError,
    InvalidJSON,
    InvalidParameter,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    SyncError,
)
from sync_streams.sids import new_sid

from .authentication import CHALLENGE
from .renderers import JSONRenderer

_InvalidRequest = partial(InvalidParameter, "Invalid request")

# The first that fits counts, so a subclass stands above its base.
_FOREIGN: tuple[tuple[type[Exception], Callable[[], SyncError]], ...] = (
    (Http404, NotFound),
    (exceptions.MethodNotAllowed, MethodNotAllowed),
    (PermissionDenied, AccessForbidden),
    (RequestDataTooBig, DataTooLarge),
    (SuspiciousOperation, _InvalidRequest),
    (BadRequest, _InvalidRequest),
    (UnreadablePostError, _InvalidRequest),
    (RecursionError, InvalidJSON),
    (OperationalError, ServiceUnavailable),
    (InterfaceError, ServiceUnavailable),
    (Exception, InternalError),
)


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of a view; one that nobody foresaw is logged, too."""
    request = context["request"]._request
    error = to_error(exception)
    response = Response(
        describe(error, request), status=error.status, headers=_headers(error)
    )
    set_rollback()
    if error is not exception and error.status >= InternalError.status:
        got_request_exception.send(sender=None, request=request)
        log_response(
            "%s: %s",
            error.text,
            request.path,
            response=response,
            request=request,
            exception=exception,
        )
    return response


def to_error(exception: Exception) -> SyncError:
    """Return the error that an exception amounts to."""
    if isinstance(exception, SyncError):
        return exception
    return next(error for kind, error in _FOREIGN if isinstance(exception, kind))()


def describe(error: SyncError, request: HttpRequest) -> dict[str, object]:
    """Return the body that tells of an error; nothing there is always 20404."""
    if isinstance(error, NotFound):
        error = NotFound(f"The requested resource {_resource(request)} was not found")
    return {
        "code": error.code,
        "message": error.text,
        "more_info": error.more_info,
        "status": error.status,
    }


def request_headers(seconds: float) -> dict[str, str]:
    """Return the headers that every answer has, whatever it says."""
    return {
        "Twilio-Request-Id": new_sid("RQ"),
        "Twilio-Request-Duration": f"{seconds:.3f}",
    }


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what failed before a view was reached; for the project's URLconf."""
    if _is_ours(request):
        return _answer(to_error(exception), request)
    return defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Do as :func:`handler400` does, for what a middleware forbids."""
    if _is_ours(request):
        return _answer(AccessForbidden(), request)
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Do as :func:`handler400` does, for what a middleware does not find."""
    if _is_ours(request):
        return _answer(NotFound(), request)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Do as :func:`handler400` does, for what a middleware raises."""
    if _is_ours(request):
        return _answer(InternalError(), request)
    return defaults.server_error(request)


def _headers(error: SyncError) -> dict[str, str]:
    if isinstance(error, AuthenticationFailed):
        return {"WWW-Authenticate": CHALLENGE}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(max(1, ceil(error.retry_after)))}
    return {}


def _resource(request: HttpRequest) -> str:
    return escape_uri_path(request.path).partition("/v1")[2] or "/"


def _is_ours(request: HttpRequest) -> bool:
    try:
        return "sync_streams" in resolve(request.path_info).app_names
    except Resolver404:
        return False


def _answer(error: SyncError, request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        JSONRenderer().render(describe(error, request)),
        status=error.status,
        content_type=JSONRenderer.media_type,
        headers={**request_headers(0), **_headers(error)},
    )
