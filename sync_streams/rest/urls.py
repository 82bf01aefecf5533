"""Routes below ``/v1``. A slash at the end is optional and never redirected to.

A ref is all that stands between two slashes: SID, unique name or alias.
"""

from typing import Any

from django.urls import re_path

from .reference import ReferenceViewSet
from .views import MessageViewSet, ServiceViewSet, StreamViewSet, UnknownViewSet

_LIST: dict[str, Any] = {"get": "list", "post": "create"}
_DETAIL: dict[str, Any] = {"get": "retrieve", "post": "update", "delete": "destroy"}

_SERVICES = "^Services"
_SERVICE = rf"{_SERVICES}/(?P<service_ref>[^/]+)"
_STREAMS = rf"{_SERVICE}/Streams"
_STREAM = rf"{_STREAMS}/(?P<stream_ref>[^/]+)"
_MESSAGES = rf"{_STREAM}/Messages"
_END = r"/?\Z"

unknown = UnknownViewSet.as_view({"options": "options"})

urlpatterns = [
    # Routes are tried in turn: the busiest stands first.
    re_path(
        _MESSAGES + _END, MessageViewSet.as_view({"post": "create"}), name="messages"
    ),
    re_path(_SERVICES + _END, ServiceViewSet.as_view(_LIST), name="services"),
    re_path(_SERVICE + _END, ServiceViewSet.as_view(_DETAIL)),
    re_path(_STREAMS + _END, StreamViewSet.as_view(_LIST)),
    re_path(_STREAM + _END, StreamViewSet.as_view(_DETAIL)),
    re_path(r"^openapi\.json\Z", ReferenceViewSet.as_view({"get": "document"})),
    re_path(r"^reference\Z", ReferenceViewSet.as_view({"get": "page"})),
    # Whatever else: a path that no route matched would get a redirect to one with a
    # slash, or a page in HTML.
    re_path("", unknown),
]
