"""Absolute URLs in responses: public origin and SIDs, never names or aliases."""

from typing import TYPE_CHECKING

from sync_streams.conf import get_settings
from sync_streams.values.mounts import services_path

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request


def root_url(request: "Request | HttpRequest") -> str:
    """Return the URL that all others start with, up to and including ``/v1``."""
    origin = get_settings().public_url.rstrip("/")
    if not origin:
        origin = f"{request.scheme}://{request.get_host()}"
    match = request.resolver_match
    path = services_path(match.namespace if match else "")
    return origin + path.removesuffix("/Services")


def services_url(root: str) -> str:
    """Return the URL of an account's Services."""
    return f"{root}/Services"


def service_url(root: str, service_sid: str) -> str:
    """Return the URL of a Service."""
    return f"{root}/Services/{service_sid}"


def streams_url(root: str, service_sid: str) -> str:
    """Return the URL of a Service's Streams."""
    return f"{root}/Services/{service_sid}/Streams"


def stream_url(root: str, service_sid: str, stream_sid: str) -> str:
    """Return the URL of a Stream."""
    return f"{root}/Services/{service_sid}/Streams/{stream_sid}"


def names_one_resource(path: str) -> bool:
    """Tell whether a decoded path names one resource unambiguously.

    A client asked to remove a Stream called ``..`` normalises ``…/Streams/..`` to the
    URL of the Service, with a trailing slash (RFC 3986, section 5.2.4). An empty name
    leaves a trailing slash too.
    """
    segments = path.split("/")
    return bool(segments[-1]) and not {".", ".."} & set(segments)
