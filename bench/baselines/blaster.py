"""Upper bound: writes prepared frames to every connection, as fast as a core can.

With no protocol and no publisher, what the load generator can receive from it is the
generator's own ceiling. Arguments: port, number of connections, frames per write.
"""

import json
import socket
import sys
import time

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def block(first: int, count: int) -> bytes:
    """Return prepared frames, numbered and stamped with the current time."""
    frames = bytearray()
    for number in range(first, first + count):
        stamp = f"~#00:{number:010d}:{time.monotonic_ns():018d}"
        text = json.dumps({"type": "message", "m": stamp, "x": "x" * 240}).encode()
        frames += bytes([0x81, 126]) + len(text).to_bytes(2) + text
    return bytes(frames)


def serve(port: int, connections: int, per_write: int) -> None:
    """Wait for all connections, then write until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=1024) as server:
        peers: list[socket.socket] = []
        while len(peers) < connections:
            peer, _ = server.accept()
            # A first connection without a request only checks whether we listen.
            if b"\r\n\r\n" in peer.recv(4096):
                peer.sendall(ANSWER)
                peers.append(peer)
    number = 0
    while True:
        frames = block(number, per_write)
        number += per_write
        for peer in peers:
            peer.sendall(frames)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:4]))
