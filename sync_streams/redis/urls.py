"""``REDIS_URL``: one Redis, several, one behind Sentinels, or a Redis Cluster.

- ``redis://host:6379/0``, ``rediss://…`` or ``unix:///path``, and ``valkey://…``,
  ``valkeys://…``, with redis-py's options after a ``?``:
  https://redis.readthedocs.io/en/stable/connections.html#redis.Redis.from_url;
- ``redis://one:6379/0 redis://two:6379/0``: each Stream is on one of them;
- ``sentinel://:password@one:26379,two:26379/mymaster/0``: the current master,
  https://redis.io/docs/latest/develop/reference/sentinel-clients/. Sentinels have their
  own credentials: ``?sentinel_username=…&sentinel_password=…``;
- ``cluster://:password@one:6379,two:6379``: some servers of a Redis Cluster, from which
  the others are discovered.

The last two accept ``tls=true`` after the ``?``, and redis-py's ``ssl_…`` options.
"""

import re
import socket
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

from sync_streams.values.accounts import hide_passwords

SENTINEL_PORT, REDIS_PORT, MAX_PORT = 26379, 6379, 65_535
SAME_AS = {"valkey": "redis", "valkeys": "rediss"}
SCHEMES = {"redis", "rediss", "unix"}

CONNECT_SECONDS = 2
"""Time limit for connecting."""

SILENCE_SECONDS = 10
"""Time after which a connection with a silently vanished peer is given up."""


def hosts(url: str) -> list[dict[str, Any]]:
    """Return the ``"hosts"`` option of channels-redis.

    Raises:
        ValueError: an address is invalid. The message does not quote it, since it
            may contain a password.
    """
    parts = hide_passwords(re.split(r"[,\s]+(?=\w+://)", url.strip()))
    return [hide_passwords(_host(part)) for part in parts]


def connection_options() -> dict[str, Any]:
    """Return connection options that detect a vanished peer.

    The layers wait for events indefinitely, so a read timeout would end healthy
    connections; TCP keepalive checks the peer instead.
    """
    keepalive = {
        name: value
        for option, value in (
            ("TCP_KEEPIDLE", SILENCE_SECONDS // 2),
            ("TCP_KEEPINTVL", SILENCE_SECONDS // 4),
            ("TCP_KEEPCNT", 2),
            ("TCP_USER_TIMEOUT", SILENCE_SECONDS * 1000),
        )
        # Systems other than Linux lack some of them.
        if (name := getattr(socket, option, None)) is not None
    }
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        "socket_keepalive_options": keepalive,
    }


def _host(url: str) -> dict[str, Any]:
    scheme = urlsplit(url).scheme
    if scheme == "sentinel":
        return _sentinel(url) | connection_options()
    if scheme == "cluster":
        return _cluster(url) | connection_options()
    if scheme in SAME_AS:
        url = hide_passwords(url.replace(scheme, SAME_AS[scheme], 1))
    elif scheme not in SCHEMES:
        schemes = "redis, rediss, valkey, valkeys, unix, sentinel, cluster"
        raise ValueError(f"it has to begin with one of {schemes}")
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("its port is not a number below 65536") from None
    if scheme == "unix":
        return {"address": url, "socket_connect_timeout": CONNECT_SECONDS}
    return {"address": url} | connection_options()


def _sentinel(url: str) -> dict[str, Any]:
    master, _, database = urlsplit(url).path.strip("/").partition("/")
    if not master:
        raise ValueError("it has to name the master: sentinel://host/mymaster")
    query = _query(url)
    own: dict[str, Any] = {
        name: query.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }
    options = _options(query)
    # Sentinels with TLS use the same certificates as the servers.
    own |= options
    own |= {
        "socket_connect_timeout": CONNECT_SECONDS / 4,
        "socket_timeout": CONNECT_SECONDS / 4,
    }
    return {
        "sentinels": _addresses(url, SENTINEL_PORT),
        "master_name": master,
        "sentinel_kwargs": own,
        "db": _number(database or "0"),
        **_credentials(url),
        **options,
    }


def _cluster(url: str) -> dict[str, Any]:
    if urlsplit(url).path.strip("/") not in {"", "0"}:
        raise ValueError("a cluster only has database 0")
    addresses = _addresses(url, REDIS_PORT)
    return {"cluster": addresses, **_credentials(url), **_options(_query(url))}


def _query(url: str) -> dict[str, str]:
    query: dict[str, str] = hide_passwords(dict(parse_qsl(urlsplit(url).query)))
    return query


def _options(query: dict[str, str]) -> dict[str, Any]:
    is_tls = query.pop("tls", "false")
    if is_tls not in {"true", "false"}:
        raise ValueError("tls is neither true nor false")
    if not all(name.startswith("ssl_") for name in query):
        raise ValueError("an option after the ? is unknown")
    if is_tls == "false":
        return {}
    # redis-py knows which options are numbers and which are booleans.
    read = parse_url(f"rediss://host?{urlencode(query)}")
    return {"ssl": True} | {name: read[name] for name in query}  # type: ignore[literal-required]


def _credentials(url: str) -> dict[str, Any]:
    credentials, _, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return {"username": unquote(user) or None, "password": unquote(password) or None}


def _addresses(url: str, port: int) -> list[tuple[str, int]]:
    _, _, addresses = urlsplit(url).netloc.rpartition("@")
    return [_address(address, port) for address in addresses.split(",")]


def _address(text: str, default: int) -> tuple[str, int]:
    # An IPv6 address is in brackets and itself contains colons.
    host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not host:
        host, port = text, str(default)
    number = _number(port or str(default))
    if number > MAX_PORT:
        raise ValueError("its port is not a number below 65536")
    return host.strip("[]"), number


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("its port or its database is not a number")
    return int(text)
