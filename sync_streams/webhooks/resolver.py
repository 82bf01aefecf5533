"""Resolver: looks up the host names of webhooks without a thread for each.

The C library's resolver blocks a thread for as long as a domain's servers are silent,
so a few domains of one account would hold up every webhook. See
https://docs.aiohttp.org/en/stable/client_advanced.html#resolving-using-custom-nameservers.
"""

import asyncio
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver

from sync_streams.operations.addresses import written_address

LOOKUP_SECONDS = 5
"""Time limit for a lookup."""

AGAIN_SECONDS = 1.5
"""Time after which an unanswered query is repeated."""


class Resolver(AbstractResolver):
    """DNS, and every notation of an address that the C library understands."""

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        """Create a resolver on the running event loop.

        Args:
            nameservers: DNS servers to query, as ``address:port``; by default, the
                machine's own. Its hosts file is read in either case.
        """
        self._dns = AsyncResolver(nameservers=nameservers, timeout=AGAIN_SECONDS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: there are none.
            TimeoutError: there was no answer within ``LOOKUP_SECONDS``.
        """
        address = written_address(host)
        if address is None:
            async with asyncio.timeout(LOOKUP_SECONDS):
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
        """Stop looking up names."""
        await self._dns.close()
