"""Routes below ``/v1``. A path with a trailing slash is never redirected.

Safe methods ignore the slash; the others answer 404, see ``names_one_resource``. A ref
is everything between two slashes: a SID, unique name or alias.
"""

from typing import Any

from django.urls import re_path

from sync_streams.operations.databases import without_transaction

from .policies import SyncViewSet
from .reference import ReferenceViewSet
from .views import MessageViewSet, ServiceViewSet, StreamViewSet, UnknownViewSet

_LIST: dict[str, Any] = {"get": "list", "post": "create"}
_DETAIL: dict[str, Any] = {"get": "retrieve", "post": "update", "delete": "destroy"}

_SERVICES = "^Services"
_SERVICE = rf"{_SERVICES}/(?P<service_ref>[^/]+)"
_STREAMS = rf"{_SERVICE}/Streams"
STREAM = rf"{_STREAMS}/(?P<stream_ref>[^/]+)"
_MESSAGES = rf"{STREAM}/Messages"
END = r"/?\Z"

# Operations manage their own transactions.
unknown = without_transaction(UnknownViewSet.as_view({"options": "options"}))


def _route(
    pattern: str, kind: type[SyncViewSet], name: str = "", **methods: Any
) -> Any:
    view = without_transaction(kind.as_view(methods))
    return re_path(pattern + END, view, name=name or None)


urlpatterns = [
    # Routes are tried in order, so the busiest comes first.
    _route(_MESSAGES, MessageViewSet, "messages", post="create"),
    _route(_SERVICES, ServiceViewSet, "services", **_LIST),
    _route(_SERVICE, ServiceViewSet, **_DETAIL),
    _route(_STREAMS, StreamViewSet, **_LIST),
    _route(STREAM, StreamViewSet, **_DETAIL),
    re_path(r"^openapi\.json\Z", ReferenceViewSet.as_view({"get": "document"})),
    re_path(r"^reference\Z", ReferenceViewSet.as_view({"get": "page"})),
    # Everything else: otherwise an unmatched path would get a redirect to the same path
    # with a slash, or an HTML page.
    re_path("", unknown),
]
