"""Mounts: where the host project's URLconf includes our URLs."""

from collections.abc import Iterable, Iterator

from django.conf import settings
from django.urls import (
    URLPattern,
    URLResolver,
    get_resolver,
    get_script_prefix,
    reverse,
)

APP_NAME = "sync_streams"
SOCKET_PATH = "v1/websocket"


def namespaces() -> list[str]:
    """Return the namespaces of our URLs, such as ``api:sync_streams``, in order."""
    if not getattr(settings, "ROOT_URLCONF", None):  # as Django's own checks do
        return []
    return list(_find(get_resolver().url_patterns, ""))


def services_path(namespace: str = "") -> str:
    """Return the path of an account's Services, with the script prefix.

    Args:
        namespace: which of the mounts; by default the first. If the project has none,
            the path is the one that Twilio's clients expect.
    """
    known = [namespace] if namespace else namespaces()
    if not known:
        return f"{get_script_prefix()}v1/Services"
    return reverse(f"{known[0]}:services")


def socket_path() -> str:
    """Return the path of the JSON socket, with the script prefix."""
    return f"{get_script_prefix()}{SOCKET_PATH}"


def _find(patterns: Iterable[URLPattern | URLResolver], outer: str) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            namespace = ":".join(filter(None, (outer, pattern.namespace)))
            if pattern.app_name == APP_NAME:
                yield namespace
            else:
                yield from _find(pattern.url_patterns, namespace)
