"""The address of a Redis server, and how to log in.

The options are redis-py's, as in ``"hosts"`` of channels-redis, and are parsed by
redis-py: https://redis.readthedocs.io/en/stable/connections.html.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from channels_redis.utils import create_pool
from redis.asyncio.connection import Connection as TcpOptions
from redis.asyncio.connection import SSLConnection as TlsOptions

from .connection import Connection
from .health import RedisUnavailable, describe
from .protocol import ReplyError, Word
from .quorum import first_answer
from .urls import CONNECT_SECONDS


class Opener(Protocol):
    """Opens connections to one server, at its current address."""

    name: str
    """Its name in the log: ``redis1:6379``."""

    async def open(self, *preparations: Sequence[Word]) -> Connection:
        """Connect and log in.

        Args:
            preparations: commands to send first, which may fail.

        Raises:
            RedisUnavailable: with the reason.
        """


class Endpoint:
    """One server at one address."""

    def __init__(self, options: Any, *, must_be_master: bool = False) -> None:
        """Take the address and the credentials.

        Args:
            options: a redis-py connection, which is never opened.
            must_be_master: refuse to use a replica.
        """
        self._options, self._must_be_master = options, must_be_master
        self.name = getattr(options, "path", "") or f"{options.host}:{options.port}"

    async def open(self, *preparations: Sequence[Word]) -> Connection:
        """Connect and log in."""
        timeout = self._options.socket_connect_timeout or CONNECT_SECONDS
        connection = Connection()
        try:
            async with asyncio.timeout(timeout):
                await self._connect(connection)
                await self._log_in(connection, preparations)
        except BaseException as error:
            connection.abort(describe(error))
            if isinstance(error, (OSError, ReplyError, ValueError)):
                raise RedisUnavailable(describe(error)) from error
            raise
        return connection

    async def _connect(self, connection: Connection) -> None:
        options, loop = self._options, asyncio.get_running_loop()
        if path := getattr(options, "path", ""):
            await loop.create_unix_connection(lambda: connection, path)
            return
        tls: dict[str, Any] = {}
        if context := getattr(options, "ssl_context", None):
            tls = {"ssl": context.get(), "server_hostname": options.host}
        transport, _ = await loop.create_connection(
            lambda: connection, options.host, options.port, **tls
        )
        if options.socket_keepalive:
            _keep_alive(transport, options.socket_keepalive_options or {})

    async def _log_in(
        self, connection: Connection, preparations: Sequence[Sequence[Word]]
    ) -> None:
        commands: list[Sequence[Word]] = [("PING",)]
        if self._options.db:
            commands.insert(0, ("SELECT", self._options.db))
        if credentials := await self._credentials():
            commands.insert(0, ("AUTH", *credentials))
        needed = [connection.request(*command) for command in commands]
        wanted = [connection.request(*words) for words in (("ROLE",), *preparations)]
        replies = await asyncio.gather(*needed, *wanted, return_exceptions=True)
        for reply in replies[: len(needed)]:
            if isinstance(reply, BaseException):
                raise reply
        # Without permission to ask for the role, a replica's refusals reveal it.
        role, *connection.prepared = replies[len(needed) :]
        if self._must_be_master and isinstance(role, list) and role[0] != b"master":
            raise RedisUnavailable(f"{self.name} is not the master")

    async def _credentials(self) -> Sequence[str]:
        options = self._options
        if options.credential_provider:
            given: Sequence[
                str
            ] = await options.credential_provider.get_credentials_async()
            return given
        pair = options.username, options.password
        return [word for word in pair if word] if options.password else []


class Guarded:
    """The master according to the Sentinels."""

    def __init__(self, host: Mapping[str, Any]) -> None:
        """Take an entry of ``"hosts"`` that names Sentinels."""
        options = dict(host)
        self._master: str = options["master_name"]
        pool = create_pool(options)
        self._sentinels = [
            Endpoint(client.connection_pool.make_connection())
            for client in pool.sentinel_manager.sentinels
        ]
        self._options = without(options, "sentinels", "sentinel_kwargs", "master_name")
        self.name = f"{self._master} of {self._sentinels[0].name}"

    async def open(self, *preparations: Sequence[Word]) -> Connection:
        """Ask the Sentinels for the master and connect to it."""
        host, port = await self._ask_all()
        options = options_of(self._options, host=host, port=port)
        return await Endpoint(options, must_be_master=True).open(*preparations)

    async def _ask_all(self) -> tuple[str, int]:
        try:
            return await first_answer(self._ask(guard) for guard in self._sentinels)
        except RedisUnavailable as error:
            reason = f"no Sentinel names {self._master}: {error.reason}"
            raise RedisUnavailable(reason) from error

    async def _ask(self, sentinel: Endpoint) -> tuple[str, int]:
        connection = await sentinel.open()
        question = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master
        try:
            async with asyncio.timeout(CONNECT_SECONDS / 4):
                reply = await connection.request(*question)
        except (ReplyError, TimeoutError) as error:
            raise RedisUnavailable(describe(error)) from error
        finally:
            connection.abort("answered")
        if reply is None:
            raise RedisUnavailable("no such master")
        return reply[0].decode(), int(reply[1])


def opener(host: Mapping[str, Any]) -> Opener:
    """Return the opener for an entry of ``"hosts"``."""
    if "sentinels" in host:
        return Guarded(host)
    return Endpoint(create_pool(dict(host)).make_connection())


def options_of(options: Mapping[str, Any], *, host: str, port: int) -> Any:
    """Return the options for one address, as parsed by redis-py."""
    kind = TlsOptions if options.get("ssl") else TcpOptions
    return kind(host=host, port=port, **without(options, "ssl"))


def without(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the options without some of them."""
    return {name: value for name, value in options.items() if name not in names}


def _keep_alive(transport: asyncio.Transport, options: Mapping[int, int]) -> None:
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        raw.setsockopt(socket.IPPROTO_TCP, name, value)
