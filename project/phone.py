"""The site's address for a phone on the same network, as text and as a QR code.

There is one only if other machines can reach the site: with ``PUBLIC_URL``, or with a
``HOST`` that is not loopback.
"""

import socket
from urllib.parse import urlsplit

import segno

from project.exposure import is_loopback

WILDCARDS = {"0.0.0.0", "::"}
"""Hosts that stand for every address of this machine."""

_ANYWHERE = ("192.0.2.1", 9)
"""A reserved address (RFC 5737), used to find out which of its own addresses this
machine would connect from; nothing is sent."""


def lan_address() -> str:
    """Return this machine's address on its network, or an empty text without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ANYWHERE)
        except OSError:
            return ""
        address = str(probe.getsockname()[0])
    return "" if is_loopback(address) else address


def phone_url(public_url: str, host: str, port: str) -> str:
    """Return the site's URL for other machines; empty if they cannot reach it.

    Args:
        public_url: ``PUBLIC_URL``, if it is set.
        host: what the server listens on.
        port: the port that received the request.
    """
    if public_url:
        return "" if is_loopback(urlsplit(public_url).hostname or "") else public_url
    name = lan_address() if host.strip("[]") in WILDCARDS else host
    return f"http://{name}:{port}" if name and not is_loopback(name) else ""


def to_svg(url: str) -> str:
    """Return a QR code of the URL as an SVG image."""
    code = segno.make(url, error="m", micro=False)
    return code.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
