"""Daphne's port, on which a crowd from one address does not delay other addresses."""

from functools import partial
from socket import socket
from typing import Any

from twisted.internet.tcp import Port

from sync_streams.conf import get_settings
from sync_streams.connections.fairness import has_left
from sync_streams.processes import descriptors

from .turns import turns

ACCEPTS = 128
"""Connections accepted in an iteration of the reactor: about 2 ms."""


class CalmPort(Port):
    """Takes connections off the kernel's queue quickly, and opens them in turn.

    The queue is not ordered by address: a client behind a thousand others would have to
    wait for all of them. Twisted opens each connection as it accepts it, which takes
    ten times as long.
    """

    numberAccepts = 1
    """A name for Twisted's log, used when it has an error to handle."""

    sessionno: int

    waiting = 0
    """Accepted connections that are not open yet."""

    def doRead(self) -> None:
        """Accept connections."""
        room = get_settings().max_http_connections - self.waiting
        for _ in range(min(ACCEPTS, room)):
            try:
                client, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError:
                super().doRead()
                return
            if descriptors.is_kept_free(client.fileno()):
                client.close()
                continue
            self.waiting += 1
            turns.get().run(str(address[0]), partial(self._open, client, address))

    def _open(self, client: socket, address: Any) -> None:
        self.waiting -= 1
        if has_left(client):
            client.close()
            return
        protocol = self.factory.buildProtocol(self._buildAddr(address))
        number, self.sessionno = self.sessionno, self.sessionno + 1
        transport = self.transport(
            client, protocol, address, self, number, self.reactor
        )
        protocol.makeConnection(transport)
