"""The demo site's own server: Daphne in this process.

https://github.com/django/daphne; its reactor ends on SIGINT and SIGTERM.
"""

import asyncio
import os
from functools import partial
from threading import Timer
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from project import banner, settings
from project.asgi import application
from project.ports import explain
from project.provision import provision
from sync_streams.conf import get_settings
from sync_streams.connections.departure import departure
from sync_streams.connections.termination import termination
from sync_streams.daphne import BoundedServer

BACKLOG = 4096  # sockets that may wait for accept: a mass reconnect, or an attack
REQUEST_TIMEOUT_SECONDS = 30
ROOM_FOR_ANSWERS = 4
HANDSHAKE_TIMEOUT_SECONDS = 5
EXIT_SECONDS = 2


class DemoServer(BoundedServer):
    """Daphne that keeps the reason it could not listen, to report it in one line."""

    failure: Failure | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ports: list[Port] = []

    def listen_error(self, failure: Failure) -> None:
        self.failure = failure
        self.stop()

    def listen_success(self, port: Port) -> None:
        super().listen_success(port)
        self.ports.append(port)

    def kill_all_applications(self) -> "Deferred[None]":
        """Drain the connections, then kill the rest; Daphne kills all at once."""
        for port in self.ports:
            port.stopListening()
        drained = Deferred.fromFuture(asyncio.ensure_future(departure.drain()))
        return drained.addCallback(lambda _: self._end_applications())

    def _end_applications(self) -> None:
        for details in self.connections.values():
            application = details.get("application_instance")
            if application is not None:
                application.cancel()


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        OSError: the address is unavailable, usually because it is in use.
    """
    admin = provision()
    server = _server()
    server.ready_callable = partial(_announce, server, admin)
    termination.leave_to_server()
    server.run()
    _end_within(EXIT_SECONDS)
    if server.failure:
        number = server.failure.value.socketError.errno
        raise explain(settings.HOST, int(settings.PORT), number)


def _end_within(seconds: float) -> None:
    """End this process even if a request's thread waits for the event loop, now ended.

    Python joins such threads when it exits, and asgiref waits in them without a limit.
    """
    timer = Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()


def _server() -> DemoServer:
    interface = settings.HOST.strip("[]").replace(":", r"\:")
    # The app replies to an oversized frame with an error; Daphne drops the client.
    frame_bytes = ROOM_FOR_ANSWERS * get_settings().max_frame_bytes
    return DemoServer(
        application,
        endpoints=[f"tcp:{settings.PORT}:interface={interface}:backlog={BACKLOG}"],
        http_timeout=REQUEST_TIMEOUT_SECONDS,
        websocket_timeout=-1,  # the token's lifetime limits a connection
        websocket_handshake_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        websocket_max_message_size=frame_bytes,
        websocket_max_frame_size=frame_bytes,
    )


def _announce(server: DemoServer, admin: str) -> None:
    url = settings.PUBLIC_URL or _origin(*server.listening_addresses[0])
    print(banner.render(url, admin=admin, credentials=settings.CREDENTIALS), flush=True)
    banner.offer(url)


def _origin(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on *host*."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
