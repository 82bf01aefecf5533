"""Bytes that clients send: HTTP/1.1 requests and RFC 6455 frames, with a stamp."""

import json
from base64 import b64encode

STAMP = b"~#00:0000000000:000000000000000000"
"""Publisher, number and CLOCK_MONOTONIC in nanoseconds; fixed width, filled later."""

DATA_BYTES = 200
"""Size of a Message's data as compact JSON, unless a scenario says otherwise."""


def stamped_data(size: int = DATA_BYTES) -> dict[str, str]:
    """Return the data of a Message: the stamp, padded to a size in bytes."""
    data = {"m": STAMP.decode(), "x": ""}
    data["x"] = "x" * (size - len(compact(data)))
    return data


def compact(value: object) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def text_frame(text: bytes, opcode: int = 1) -> bytes:
    """Return a client's frame; its mask is zero, so the text remains readable."""
    size = len(text)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 65_536:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2)
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8)
    return head + bytes(4) + text


def json_frame(value: object) -> bytes:
    """Return a text frame with compact JSON."""
    return text_frame(compact(value))


def upgrade(path: str) -> bytes:
    """Return the request that opens a WebSocket, without extensions."""
    return request(
        "GET",
        path,
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        },
    )


def request(
    method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    """Return a complete HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header, RFC 7617."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
