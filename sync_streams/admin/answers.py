"""Answers in JSON to the scripts of the admin's pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from sync_streams.errors import RateLimited, SyncError

View = Callable[[Any, HttpRequest, Any], HttpResponse]


def answer_errors(view: View) -> View:
    """Let a view answer an operation's error as JSON, with its HTTP status."""

    @wraps(view)
    def wrapper(model_admin: Any, request: HttpRequest, resource: Any) -> HttpResponse:
        try:
            return view(model_admin, request, resource)
        except SyncError as error:
            return JsonResponse(_describe(error), status=error.status)

    return wrapper


def _describe(error: SyncError) -> dict[str, Any]:
    fields = {"code": error.code, "message": error.text}
    if isinstance(error, RateLimited):
        return {**fields, "retry_after": error.retry_after}
    return fields
