"""Upgrades: requests that offer another protocol.

httptools treats each upgrade as accepted, but that is up to the server (RFC 9110,
section 7.8). Here a WebSocket is opened; a request that offers anything else, such as
h2c, is answered in HTTP.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .frame_path import FramePathProtocol
from .heads import write_head


def decline(http: HttpToolsProtocol) -> None:
    """Parse a request's head again as if it had offered no upgrade.

    The parser would mistake its body for data of the other protocol.
    """
    headers = [header for header in http.headers if header[0] != b"upgrade"]
    head = write_head(http.parser, http.url, headers)
    http.parser = httptools.HttpRequestParser(http)
    http.parser.feed_data(head)


def open_websocket(http: HttpToolsProtocol) -> None:
    """Pass a connection and its handshake to uvicorn's class for WebSockets."""
    protocol = http.ws_protocol_class(  # type: ignore[call-arg, misc]
        config=http.config, server_state=http.server_state, app_state=http.app_state
    )
    protocol.connection_made(http.transport)
    _hand_over(http, protocol)
    http.transport.set_protocol(protocol)


def _hand_over(http: HttpToolsProtocol, protocol: Any) -> None:
    headers = http.headers
    if isinstance(protocol, FramePathProtocol):
        is_usual = http.scope["method"] == "GET"
        is_usual = is_usual and http.parser.get_http_version() == "1.1"
        if is_usual and protocol.take_handshake(http.url, headers):
            return
        headers = protocol.take_headers(headers)
    protocol.data_received(write_head(http.parser, http.url, headers))
