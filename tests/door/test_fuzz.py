"""Whatever bytes arrive, each connection ends and the server continues without faults.

The servers' output is searched for tracebacks when they stop.
"""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients.raw import HANDSHAKE, frame, head, text
from tests.door.attacker import GET, POST
from tests.door.spoiling import spoilt

SECONDS = 20

HEADS = [
    head(GET),
    head(POST, "Content-Length: 5") + b"Data=",
    head(POST, "Transfer-Encoding: chunked") + b"5\r\nData=\r\n0\r\n\r\n",
    head(POST, "Expect: 100-continue", "Content-Length: 5"),
    head(GET, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
    head(HANDSHAKE),
]
FRAMES = [
    text(type="connect", id=1, token="a.b.c"),
    text(type="ping", id=None),
    frame(2, b"TWILSOCK V3.0 2\r\n{}"),
    frame(9, b"ping"),
    frame(8, b"\x03\xe8"),
    frame(1, b"a", is_final=False) + frame(0, b"\xff"),
]


def several(messages: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(messages), min_size=1, max_size=4).map(b"".join)


def is_ended(port: int, data: bytes) -> bool:
    """Send data and EOF; tell whether the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass  # reset: that is an end, too
    return True


def is_served(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(head(GET, "Connection: close"))
        return client.recv(1000).startswith(b"HTTP/1.1 401")


@given(st.one_of(st.binary(max_size=500), spoilt(several(HEADS))))
def test_any_bytes_end_as_a_request(port: int, data: bytes) -> None:
    assert is_ended(port, data)
    assert is_served(port)


@pytest.mark.parametrize("path", ["/v1/websocket", "/v3/wsconnect"])
@given(data=st.one_of(st.binary(max_size=500), spoilt(several(FRAMES))))
def test_any_bytes_end_as_frames(port: int, path: str, data: bytes) -> None:
    handshake = head(HANDSHAKE).replace(b"/v1/websocket", path.encode())
    assert is_ended(port, handshake + data)
    assert is_served(port)
