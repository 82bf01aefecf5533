"""Upgrades: requests that offer another protocol.

httptools treats each upgrade as accepted, but that is up to the server (RFC 9110,
section 7.8). Here a WebSocket is opened; a request that offers anything else, such as
h2c, is answered in HTTP.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sync_streams.connections import bounds

from . import cycles
from .frame_path import FramePathProtocol
from .heads import declared_bytes, write_head


def refusal(
    http: HttpToolsProtocol, rest: memoryview, *, is_last: bool
) -> bounds.Refusal | None:
    """Return why the request that was just read does not open a WebSocket, if so.

    Args:
        http: the connection.
        rest: what was received after its head.
        is_last: whether it has one of the last descriptors.
    """
    if http.scope["method"] == "CONNECT":
        return bounds.BAD_REQUEST
    if is_last:
        return bounds.NO_PLACE
    # A client must send nothing before the handshake's response (RFC 6455, section
    # 4.1), and the response to an earlier request must not be written into the
    # WebSocket. If it is not read either, its time limit would end the WebSocket.
    is_early = rest or declared_bytes(http.headers) or not cycles.are_answered(http)
    return bounds.BAD_REQUEST if is_early or http.flow.write_paused else None


def decline(http: HttpToolsProtocol) -> bounds.Refusal | None:
    """Parse a request's head again as if it had offered no upgrade.

    The parser would mistake its body for data of the other protocol.

    Returns:
        Why the request is refused without the offer, if it is.
    """
    headers = [header for header in http.headers if header[0] != b"upgrade"]
    head = write_head(http.parser, http.url, headers)
    http.parser = httptools.HttpRequestParser(http)
    try:
        http.parser.feed_data(head)
    except httptools.HttpParserError:
        return bounds.BAD_REQUEST
    return None


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
