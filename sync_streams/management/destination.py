"""Destination of a command: this project's own Streams, or a server at ``--url``.

Secrets are never arguments, which any user of the machine can read. They come from the
environment (``SYNC_ACCOUNT_SID`` and ``SYNC_AUTH_TOKEN``) or else from the settings.
``SYNC_TOKEN``, an access token, is all that ``sync_tail`` needs.
"""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from channels.layers import InMemoryChannelLayer
from django.core.management.base import CommandError, CommandParser

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster.broadcast import channel_layer
from sync_streams.models import DEFAULT_SERVICE
from sync_streams.publishing import first_account
from sync_streams.tokens import issue_token

from .failures import in_words
from .terminal import TerminalCommand

ANSWER_SECONDS = 30
NOT_SHARED = (
    "The in-memory channel layer ends with this process, where nobody listens. "
    "Name a server with --url, or set up channels-redis."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a command's options point."""

    url: str
    """Origin of a remote server, without a trailing slash; empty: this project."""

    service: str
    """SID or unique name of the Service."""

    account_sid: str = ""
    """The account, with ``url`` one of the remote server; empty: the first one in the
    settings."""

    @classmethod
    def read(cls, options: dict[str, Any]) -> "Destination":
        """Read a command's options.

        Raises:
            CommandError: the URL is not a server's origin.
        """
        url = str(options["url"] or "").rstrip("/")
        if url and not _is_origin(url):
            raise CommandError(
                "--url must be the origin of a server: https://sync.example"
            )
        account_sid = options["account_sid"] or os.environ.get("SYNC_ACCOUNT_SID", "")
        return cls(url=url, service=options["service"], account_sid=account_sid)

    @property
    def account(self) -> str:
        """Return the SID of the account.

        Raises:
            ImproperlyConfigured: none is given, and there is none in the settings.
        """
        return self.account_sid or first_account()

    def check_shared(self) -> None:
        """Make sure that Messages published here reach other processes.

        Raises:
            CommandError: they do not.
        """
        if not self.url:
            check_shared()

    def token(self, identity: str, ttl: int = 3600) -> str:
        """Return the access token from the environment, or issue one."""
        given = os.environ.get("SYNC_TOKEN")
        return given or issue_token(
            identity, self.service, account_sid=self.account, ttl=ttl
        )

    @property
    def socket_url(self) -> str:
        """Return the URL of the remote server's JSON socket."""
        return f"ws{self.url.removeprefix('http')}/v1/websocket"

    async def post(self, path: str, **fields: str) -> dict[str, Any]:
        """POST to the Service on the remote server and return the response.

        Raises:
            CommandError: the server refuses or cannot be reached.
        """
        return await self._request("POST", path, fields)

    async def delete(self, path: str) -> None:
        """DELETE a resource of the Service on the remote server.

        Raises:
            CommandError: the server refuses or cannot be reached.
        """
        await self._request("DELETE", path, None)

    async def _request(
        self, method: str, path: str, fields: dict[str, str] | None
    ) -> dict[str, Any]:
        url = f"{self.url}/v1/Services/{quote(self.service, safe='')}{path}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=self._auth(), timeout=timeout) as session,
                session.request(method, url, data=fields) as answer,
            ):
                if answer.status == 204:
                    return {}
                body: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            raise CommandError(in_words(error, self.url)) from error
        if answer.status >= 400:
            raise CommandError(f"{body.get('code')}: {body.get('message')}")
        return body

    def _auth(self) -> dict[str, str]:
        account = get_settings().accounts.get(self.account)
        auth_token = os.environ.get("SYNC_AUTH_TOKEN") or (
            account.auth_token if account else ""
        )
        if not auth_token:
            why = " ".join(account.faults) if account else "No auth token is known."
            raise CommandError(f"{why} Set SYNC_AUTH_TOKEN.")
        pair = aiohttp.encode_basic_auth(self.account, auth_token)
        return {"Authorization": pair}


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def check_shared() -> None:
    """Make sure that the channel layer reaches other processes.

    Raises:
        CommandError: it does not.
    """
    if isinstance(channel_layer(), InMemoryChannelLayer):
        raise CommandError(NOT_SHARED)


class DestinationCommand(TerminalCommand):
    """A command that works on a :class:`Destination`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options that :meth:`Destination.read` expects."""
        parser.add_argument(
            "--service",
            default=DEFAULT_SERVICE,
            metavar="REF",
            help="SID or unique name of the Service (default: %(default)s)",
        )
        parser.add_argument(
            "--account-sid",
            default="",
            metavar="AC…",
            help="the account (default: SYNC_ACCOUNT_SID, or the first in the "
            "settings)",
        )
        parser.add_argument(
            "--url",
            default="",
            metavar="ORIGIN",
            help="a remote server, https://sync.example; its credentials: "
            "SYNC_ACCOUNT_SID and SYNC_AUTH_TOKEN in the environment, or the settings",
        )
