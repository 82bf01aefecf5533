"""``python -m bench.proxy PORT MILLISECONDS``: a loopback proxy that delays both ways.

It prints the port that it listens on, and simulates the network between a worker and
Redis on another machine.
"""

import asyncio
import sys


class Delaying(asyncio.Protocol):
    """Forwards what it reads, after a delay."""

    def __init__(self, delay: float) -> None:
        """Create one end; its peer is set later."""
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.peer: Delaying | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def join(self, peer: "Delaying") -> None:
        """Forward to a peer, starting with what has been read already."""
        self.peer = peer
        for data in self._early:
            self.data_received(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.peer is None or self.peer.transport is None:
            self._early.append(data)
        else:
            self._loop.call_later(self._delay, self.peer.transport.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()


class Front(Delaying):
    """The end to which clients connect."""

    def __init__(self, port: int, delay: float) -> None:
        """Forward to a port of this machine."""
        super().__init__(delay)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        _, back = await self._loop.create_connection(
            lambda: Delaying(self._delay), "127.0.0.1", self._port
        )
        back.join(self)
        self.join(back)


async def main(port: int, milliseconds: float) -> None:
    """Run until terminated, adding half of the delay each way."""
    loop = asyncio.get_running_loop()
    delay = milliseconds / 2000
    server = await loop.create_server(lambda: Front(port, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
