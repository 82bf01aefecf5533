"""Messages for failed connections: which host, which port, and why."""

import os
import ssl

import aiohttp


def in_words(error: BaseException, url: str) -> str:
    """Return one line that says why a server could not be reached.

    Args:
        error: what a client raised.
        url: the server's URL.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connection(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"The certificate of {error.host} is not trusted."
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"{url} is not a Sync Streams WebSocket: it answered {error.status}."
    if isinstance(error, TimeoutError):
        return f"{url} does not answer in time."
    return f"{url}: {str(error) or repr(error)}"


def _connection(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"No address is known for the host {error.host}."
    if isinstance(cause, ssl.SSLError):
        return f"No TLS with {error.host} port {error.port}: {cause.reason}."
    # A name with several addresses gives one combined error, without a number.
    why = os.strerror(cause.errno).lower() if cause.errno else str(cause)
    return f"Cannot connect to {error.host} port {error.port}: {why}."
