"""Who can reach the demo site: only this machine, or possibly anyone.

A server that listens on loopback is still public if a proxy on this machine forwards
requests to it, so the headers that a proxy adds count too.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

FORWARDED_FOR = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")
"""Proxy headers that hold client addresses, separated by commas."""

FORWARDED = (
    *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_HOST", "HTTP_X_CLIENT_IP"),
    *("HTTP_CF_CONNECTING_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_FLY_CLIENT_IP"),
)
"""Headers whose presence alone indicates a proxy."""


def is_loopback(host: str) -> bool:
    """Tell whether a host, as in a URL or ``ALLOWED_HOSTS``, is this machine."""
    host = host.strip().strip("[]").lstrip(".")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private(hosts: Iterable[str]) -> bool:
    """Tell whether a site with these hosts is reachable from this machine only."""
    return all(map(is_loopback, hosts))


def comes_from_here(headers: Mapping[str, str]) -> bool:
    """Tell whether a request was sent from this machine, according to its headers.

    Args:
        headers: by their names in Django's ``request.META``.
    """
    addresses = ",".join(headers.get(name, "") for name in FORWARDED_FOR).split(",")
    is_forwarded = any(name in headers for name in FORWARDED)
    return not is_forwarded and is_private(filter(str.strip, addresses))
