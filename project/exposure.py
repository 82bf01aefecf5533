"""Who can reach the demo site: nobody but this machine, or possibly anybody.

A server that listens on loopback is public all the same if a proxy of this machine
hands requests on to it, so what a proxy adds to a request counts, too.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

FORWARDED_FOR = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")
"""Headers of proxies that hold addresses of clients, separated by commas."""

FORWARDED = (
    *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_HOST", "HTTP_X_CLIENT_IP"),
    *("HTTP_CF_CONNECTING_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_FLY_CLIENT_IP"),
)
"""Headers that say by being there that a proxy was on the way."""


def is_loopback(host: str) -> bool:
    """Tell whether a host, as a URL or ``ALLOWED_HOSTS`` names it, is this machine."""
    host = host.strip().strip("[]").lstrip(".")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private(hosts: Iterable[str]) -> bool:
    """Tell whether a site with these hosts is one of this machine only."""
    return all(map(is_loopback, hosts))


def comes_from_here(headers: Mapping[str, str]) -> bool:
    """Tell whether no proxy says that a request comes from elsewhere.

    Args:
        headers: as Django's ``request.META`` names them.
    """
    addresses = ",".join(headers.get(name, "") for name in FORWARDED_FOR).split(",")
    is_forwarded = any(name in headers for name in FORWARDED)
    return not is_forwarded and is_private(filter(str.strip, addresses))
