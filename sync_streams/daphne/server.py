"""Daphne's server, with bounded connections."""

from contextvars import copy_context
from typing import Any

from daphne.server import Server  # chooses Twisted's reactor, so it comes first
from twisted.internet.tcp import Port

from sync_streams.connections.inbound import INBOUND_EXTENSION

from .http import BoundedFactory
from .port import CalmPort
from .request import BoundedRequest
from .websocket import BoundedWebSocket


class BoundedServer(Server):
    """Daphne's server, with bounded connections."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._context = copy_context()

    @property
    def http_factory(self) -> Any:
        """The factory of HTTP connections."""
        return self._http_factory

    @http_factory.setter
    def http_factory(self, factory: Any) -> None:
        # Daphne creates its own where that cannot be overridden otherwise.
        self._http_factory = BoundedFactory(self)

    @property
    def ws_factory(self) -> Any:
        """The factory of WebSockets."""
        return self._ws_factory

    @ws_factory.setter
    def ws_factory(self, factory: Any) -> None:
        factory.protocol = BoundedWebSocket
        self._ws_factory = factory

    def listen_success(self, port: Any) -> None:
        """Make an opened port serve addresses in turn."""
        super().listen_success(port)
        if type(port) is Port:
            # The reactor creates it, and its class cannot be chosen.
            port.__class__ = CalmPort

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass on an event of the application; wait for a client that reads slowly."""
        await super().handle_reply(protocol, message)
        if isinstance(protocol, BoundedRequest):
            await protocol.until_writable()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Pass a socket's budget to the application."""
        if isinstance(protocol, BoundedWebSocket):
            scope["extensions"] = {INBOUND_EXTENSION: protocol.inbound}
        else:
            # Twisted's own copies, with thousands of objects each.
            protocol.args, protocol.received_cookies = {}, {}
        # A pipelined request starts inside the call that answers the one before it.
        create = super().create_application
        return self._context.copy().run(create, protocol, scope)
