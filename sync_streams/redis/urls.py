"""``REDIS_URL``: one Redis, several that share the Streams, or one behind Sentinels.

- ``redis://host:6379/0`` or ``rediss://…``: https://www.iana.org/assignments/uri-schemes;
- ``redis://one:6379/0 redis://two:6379/0``: each Stream is on one of them;
- ``sentinel://:password@one:26379,two:26379/mymaster/0``: whichever the Sentinels name,
  https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

import re
import socket
from typing import Any
from urllib.parse import unquote, urlsplit

SENTINEL_PORT = 26379
SCHEMES = {"redis", "rediss", "unix"}

CONNECT_SECONDS = 2
"""Time that a connection may take to come about."""

SILENCE_SECONDS = 10
"""Time after which a connection whose peer is gone without a word is given up."""


def hosts(url: str) -> list[dict[str, Any]]:
    """Return what channels-redis takes as ``"hosts"``.

    Raises:
        ValueError: an address cannot be read. The text quotes nothing of it, since
            there may be a password in it.
    """
    return [_host(part) for part in re.split(r"[,\s]+(?=\w+://)", url.strip())]


def connection_options() -> dict[str, Any]:
    """Return options of a connection that notices a peer that has vanished.

    The layers wait for events as long as it takes, so a time for answers would end
    healthy connections; it is the kernel that asks whether the peer is there.
    """
    keepalive = {
        name: value
        for option, value in (
            ("TCP_KEEPIDLE", SILENCE_SECONDS // 2),
            ("TCP_KEEPINTVL", SILENCE_SECONDS // 4),
            ("TCP_KEEPCNT", 2),
            ("TCP_USER_TIMEOUT", SILENCE_SECONDS * 1000),
        )
        # Other systems than Linux lack some of them.
        if (name := getattr(socket, option, None)) is not None
    }
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        "socket_keepalive_options": keepalive,
    }


def _host(url: str) -> dict[str, Any]:
    if url.startswith("sentinel://"):
        return _sentinel(url) | connection_options()
    if urlsplit(url).scheme not in SCHEMES:
        raise ValueError("it begins with none of redis, rediss, unix, sentinel")
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("its port is not a number below 65536") from None
    return {"address": url} | connection_options()


def _sentinel(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    credentials, _, addresses = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, database = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("A sentinel:// URL names the master: sentinel://host/mymaster")
    return {
        "sentinels": [_address(address) for address in addresses.split(",")],
        "master_name": master,
        "sentinel_kwargs": {
            "socket_connect_timeout": CONNECT_SECONDS / 4,
            "socket_timeout": CONNECT_SECONDS / 4,
        },
        "db": _number(database or "0"),
        "username": unquote(user) or None,
        "password": unquote(password) or None,
    }


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return (host, _number(port)) if host else (text, SENTINEL_PORT)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("its port or its database is not a number")
    return int(text)
