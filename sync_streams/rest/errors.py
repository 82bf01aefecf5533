"""Error responses of REST under Django, from a view or from a failure before one.

The four handlers are for the project's URLconf. Each responds in JSON to paths under
``/v1`` and leaves all others to Django's own page, or to the project's::

    handler404 = errors.handler404.otherwise(pages.not_found)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, resolve
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from sync_streams.errors import (
    AccessForbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    SyncError,
)
from sync_streams.logs import REQUEST_ID
from sync_streams.values.sids import new_sid

from .answers import (
    common_headers,
    describe_error,
    error_headers,
    error_status,
    is_unforeseen,
    report_unforeseen,
    to_error,
)
from .bodies import JSON, write_json


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Turn any exception in a view into a response; log it if it was unexpected."""
    request = context["request"]._request
    if isinstance(exception, exceptions.MethodNotAllowed):
        exception = MethodNotAllowed()
    error = to_error(exception)
    response = Response(
        describe_error(error, request.path),
        status=error_status(error, request.headers.get("X-Unpublished-Status", "")),
        headers=error_headers(error),
    )
    if is_unforeseen(exception):
        report_unforeseen(exception, request, response)
    return response


@dataclass(frozen=True)
class Handler:
    """One of Django's error handlers: ours under ``/v1``, another everywhere else."""

    error: Callable[[Exception], SyncError]
    """Returns the error to report for an exception."""

    elsewhere: Callable[..., HttpResponseBase]
    """The handler for all other paths."""

    def __call__(
        self, request: HttpRequest, exception: Exception | None = None
    ) -> HttpResponseBase:
        """Respond to a request that failed outside a view."""
        if is_ours(request):
            return _answer(self.error(exception or InternalError()), request)
        # Django calls the 500 handler with only the request.
        known = {} if exception is None else {"exception": exception}
        return self.elsewhere(request, **known)

    def otherwise(self, elsewhere: Callable[..., HttpResponseBase]) -> "Handler":
        """Return a copy of this handler that leaves all other paths to *elsewhere*."""
        return replace(self, elsewhere=elsewhere)


def is_ours(request: HttpRequest) -> bool:
    """Tell whether a request's path belongs to this app."""
    try:
        return "sync_streams" in resolve(request.path_info).app_names
    except Resolver404:
        return False


handler400 = Handler(to_error, defaults.bad_request)
handler403 = Handler(lambda _: AccessForbidden(), defaults.permission_denied)
handler404 = Handler(lambda _: NotFound(), defaults.page_not_found)
handler500 = Handler(lambda _: InternalError(), defaults.server_error)


def _answer(error: SyncError, request: HttpRequest) -> HttpResponse:
    # Django logs the request after this, with the id that the client is given.
    request_id = request.META.setdefault(REQUEST_ID, new_sid("RQ"))
    return HttpResponse(
        write_json(describe_error(error, request.path)),
        status=error.status,
        content_type=JSON,
        headers={**common_headers(0, request_id), **error_headers(error)},
    )
