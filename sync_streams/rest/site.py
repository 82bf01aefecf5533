"""Site: enforces Django's settings for requests that are served without Django.

The host must be in ``ALLOWED_HOSTS``, TLS may be required, and the response carries the
headers that ``SecurityMiddleware`` adds. Django's own code makes each decision, which
is then cached by the values it depends on.
"""

from collections.abc import Mapping
from functools import lru_cache

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

from sync_streams.conf import django_setting

Headers = tuple[tuple[str, str], ...]
Server = tuple[str, int | None]

MAX_KEPT = 1024
MAX_VALUE_BYTES = 512
"""Limit for one header; a request with a longer one is left to Django."""


class Site:
    """The host project's settings, as they were when the application was created."""

    def __init__(self) -> None:
        names = ["HTTP_HOST", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"]
        if proxy := django_setting("SECURE_PROXY_SSL_HEADER"):
            names.append(proxy[0])
        self._names = {_to_header(name): name for name in names}
        is_secured = "django.middleware.security.SecurityMiddleware" in django_setting(
            "MIDDLEWARE"
        )
        self._security = SecurityMiddleware(HttpResponse) if is_secured else None
        self._examine = lru_cache(MAX_KEPT)(self._examine_uncached)

    def examine(
        self, headers: Mapping[bytes, bytes], scheme: str, server: Server
    ) -> Headers | None:
        """Return the headers to add to a response, or ``None`` to leave it to Django.

        Args:
            headers: the request's, by lower-case name.
            scheme: ``http`` or ``https``, as the server sees it.
            server: host and port that received the request.
        """
        values = tuple(headers.get(name) for name in self._names)
        if any(value and len(value) > MAX_VALUE_BYTES for value in values):
            return None
        return self._examine(values, scheme, server)

    def _examine_uncached(
        self, values: tuple[bytes | None, ...], scheme: str, server: Server
    ) -> Headers | None:
        request = _Asked(scheme)
        request.META = {"SERVER_NAME": server[0], "SERVER_PORT": str(server[1])}
        for name, value in zip(self._names.values(), values, strict=True):
            if value is not None:
                request.META[name] = value.decode("latin-1")
        try:
            request.get_host()
        except DisallowedHost:
            return None
        if self._security is None:
            return ()
        if self._security.process_request(request) is not None:
            return None
        response = self._security.process_response(request, HttpResponse())
        del response["Content-Type"]
        return tuple(response.items())


class _Asked(HttpRequest):
    """The parts of a request that the settings concern."""

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self._asked_scheme = scheme

    def _get_scheme(self) -> str:
        return self._asked_scheme


def _to_header(name: str) -> bytes:
    return name.removeprefix("HTTP_").replace("_", "-").lower().encode()
