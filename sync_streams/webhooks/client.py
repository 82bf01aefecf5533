"""HTTP client of the webhooks: guarded, with short timeouts; only the status counts.

Timeouts and the single retry follow
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides.
"""

import asyncio
import socket
from errno import EACCES
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver

from sync_streams import __version__
from sync_streams.conf import get_settings
from sync_streams.operations.addresses import is_public

from .webhook import Webhook

CONNECT_SECONDS = 5
TOTAL_SECONDS = 15
"""Total time, including the name lookup, the retry and reading the response."""

MAX_ANSWER_BYTES = 65_536
KEEPALIVE_SECONDS = 1
"""Idle time after which a connection is not used again. Servers close theirs later, as
gunicorn after 2 s and Node after 5 s: a webhook that meets the end of a connection is
lost, since it may have arrived."""

NOT_CONNECTED = aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError
"""Errors after which a webhook has surely not arrived."""

HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": f"sync-streams/{__version__}",
}
BLOCKED = "address is not public"


def new_session(resolver: AbstractResolver) -> aiohttp.ClientSession:
    """Return a session for the running event loop.

    It ignores the environment, follows no redirects, keeps no cookies, and does not
    limit its connections, so no endpoint waits for another.

    Args:
        resolver: looks up names; close it after the session.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=resolver,
        keepalive_timeout=KEEPALIVE_SECONDS,
        socket_factory=_open_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        trust_env=False,
    )


async def post(
    session: aiohttp.ClientSession, webhook: Webhook, auth_token: str
) -> int:
    """Send a webhook and return the response's status; try twice to connect.

    Raises:
        aiohttp.ClientError: there was no response, or not a valid one.
        TimeoutError: there was no response within 15 seconds.
    """
    async with asyncio.timeout(TOTAL_SECONDS):
        try:
            return await _post_once(session, webhook, auth_token)
        except NOT_CONNECTED as error:
            if is_blocked(error):
                raise
        return await _post_once(session, webhook, auth_token)


def is_blocked(error: BaseException) -> bool:
    """Tell whether the guard prevented the connection."""
    return BLOCKED in str(error)


async def _post_once(
    session: aiohttp.ClientSession, webhook: Webhook, auth_token: str
) -> int:
    async with session.post(
        webhook.target,
        data=urlencode(list(webhook.parameters.items())).encode(),
        headers={**HEADERS, "X-Twilio-Signature": webhook.sign(auth_token)},
        allow_redirects=False,
    ) as answer:
        # Read it so that the connection can be reused, but only up to a limit.
        left = MAX_ANSWER_BYTES
        while left > 0 and (chunk := await answer.content.read(left)):
            left -= len(chunk)
        return answer.status


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    # The only place that sees where each connection really goes: after DNS, for every
    # notation of an address, and for each address of a name.
    family, kind, protocol, _, where = address
    if not get_settings().webhook_allow_private and not is_public(where[0]):
        raise PermissionError(EACCES, f"{BLOCKED}: {where[0]}")
    return socket.socket(family, kind, protocol)
