"""Ports of the loopback interface: free ones, and the error for one in use."""

import os
import socket
from errno import EADDRINUSE

TRIED = 20
"""How many of the following ports are tried, to suggest a free one."""


def free_port(port: int = 0) -> int:
    """Return a free TCP port on the loopback interface.

    Raises:
        OSError: a particular port was asked for, and it is in use.
    """
    try:
        with socket.create_server(("127.0.0.1", port)) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise explain("127.0.0.1", port, error.errno) from error


def listens(port: int) -> bool:
    """Tell whether a process listens on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def explain(host: str, port: int, number: int | None) -> OSError:
    """Return an error that says why a port is unavailable, and suggests another.

    Args:
        host: address to listen on.
        port: the requested port.
        number: the system's ``errno``.
    """
    text = f"{host}:{port}: {os.strerror(number or 0)}"
    other = _free_after(port) if number == EADDRINUSE else None
    return OSError(f"{text}; try PORT={other}" if other else text)


def _free_after(port: int) -> int | None:
    for other in range(port + 1, min(port + 1 + TRIED, 65_536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            try:
                listener.bind(("127.0.0.1", other))
            except OSError:
                continue
            return other
    return None
