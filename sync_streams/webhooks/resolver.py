"""Resolver: looks up the names of webhooks without a thread for each.

The C library's own holds a thread for as long as a domain's servers are silent, so that
a few domains of one account would stop the webhooks of all. See
https://docs.aiohttp.org/en/stable/client_advanced.html#resolving-using-custom-nameservers.
"""

import asyncio
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver

from sync_streams.operations.addresses import written_address

CACHE_SECONDS = 5
"""Time that a name's servers have to answer."""

AGAIN_SECONDS = 1.5
"""Time after which a question that may have been lost is asked again."""


class Resolver(AbstractResolver):
    """The DNS, and every way of writing an address that the C library knows."""

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        """Make a resolver on the running event loop.

        Args:
            nameservers: whom to ask, as ``address:port``; by default whom the machine
                asks. Its file of hosts is read in either case.
        """
        self._dns = AsyncResolver(nameservers=nameservers, timeout=AGAIN_SECONDS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: there are none.
            TimeoutError: nobody says which within ``CACHE_SECONDS``.
        """
        address = written_address(host)
        if address is None:
            async with asyncio.timeout(CACHE_SECONDS):
                return await self._dns.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Look up no more."""
        await self._dns.close()
