"""What every REST response shares, view or fast path: errors and headers.

An error is ``{"code", "message", "more_info", "status"}``, always as JSON. See
https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions.
"""

from collections.abc import Callable
from functools import partial
from math import ceil

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    UnreadablePostError,
)
from django.utils.encoding import escape_uri_path
from django.utils.log import log_response

from sync_streams.errors import (
    AccessForbidden,
    AuthenticationFailed,
    DataTooLarge,
    InternalError,
    InvalidJSON,
    InvalidParameter,
    NotFound,
    ServiceUnavailable,
    SyncError,
)
from sync_streams.operations.databases import is_away
from sync_streams.values.sids import new_sid

from .credentials import CHALLENGE

_InvalidRequest = partial(InvalidParameter, "Invalid request")

# The first match wins, so a subclass comes before its base class.
_FOREIGN: tuple[tuple[type[Exception], Callable[[], SyncError]], ...] = (
    (Http404, NotFound),
    (PermissionDenied, AccessForbidden),
    (RequestDataTooBig, DataTooLarge),
    (SuspiciousOperation, _InvalidRequest),
    (BadRequest, _InvalidRequest),
    (UnreadablePostError, _InvalidRequest),
    (RecursionError, InvalidJSON),
    (Exception, InternalError),
)


def to_error(exception: Exception) -> SyncError:
    """Return the error to report for an exception."""
    if isinstance(exception, SyncError):
        return exception
    if is_away(exception):
        return ServiceUnavailable()
    return next(error for kind, error in _FOREIGN if isinstance(exception, kind))()


def describe_error(error: SyncError, path: str) -> dict[str, object]:
    """Return the body of an error response; a missing resource is always 20404.

    Args:
        error: what went wrong.
        path: the request's path, decoded, including any prefix before ``/v1``.
    """
    if isinstance(error, NotFound):
        resource = escape_uri_path(path).partition("/v1")[2] or "/"
        error = NotFound(f"The requested resource {resource} was not found")
    return error.to_dict()


def error_status(error: SyncError, unpublished: str) -> int:
    """Return the HTTP status of an error.

    Args:
        error: what went wrong.
        unpublished: the request's header ``X-Unpublished-Status``, by which a proxy
            asks for 502 instead of 503 if certainly no Message was published, so that
            another process can try. Proxies decide by the status alone.
    """
    is_unpublished = isinstance(error, ServiceUnavailable) and error.is_unpublished
    return 502 if is_unpublished and unpublished == "502" else error.status


def error_headers(error: SyncError) -> dict[str, str]:
    """Return the headers that go with an error."""
    if isinstance(error, AuthenticationFailed):
        return {"WWW-Authenticate": CHALLENGE}
    if error.retry_after is not None:
        return {"Retry-After": str(max(1, ceil(error.retry_after)))}
    return {}


def common_headers(seconds: float, request_id: str = "") -> dict[str, str]:
    """Return the headers that every response has.

    Args:
        seconds: the time that the response took.
        request_id: the request's, if the log has it, too.

    A cache in between, the site's own included, would serve one account's responses to
    another. Django's cache checks for ``private``, all others for ``no-store``.
    """
    return {
        "Cache-Control": "no-store, private",
        "Twilio-Request-Id": request_id or new_sid("RQ"),
        "Twilio-Request-Duration": f"{seconds:.3f}",
    }


def refuse(request: HttpRequest, error: SyncError) -> HttpResponse:
    """Return the response to a request that a view outside of REST refuses."""
    headers = {**common_headers(0), **error_headers(error)}
    body = describe_error(error, request.path)
    return JsonResponse(body, status=error.status, headers=headers)


def report_unforeseen(
    exception: Exception, request: HttpRequest, response: HttpResponse
) -> None:
    """Report an unexpected exception to the log and to error trackers."""
    got_request_exception.send(sender=None, request=request)
    log_response(
        "%s: %s",
        to_error(exception).text,
        request.path,
        response=response,
        request=request,
        exception=exception,
    )


def is_unforeseen(exception: Exception) -> bool:
    """Tell whether an exception is a server fault rather than one of our errors."""
    is_ours = isinstance(exception, SyncError)
    return not is_ours and to_error(exception).status >= InternalError.status
