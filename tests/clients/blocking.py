"""A client of the JSON socket for tests without an event loop."""

import json
from itertools import count
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.clients.rest import Site

WAIT_SECONDS = 60

Frame = dict[str, Any]


class BlockingSocket:
    """One connection to a running site; ``with`` opens it and presents a token."""

    def __init__(self, site: Site, identity: str = "alice") -> None:
        self._connecting = connect(
            site.base_url.replace("http", "ws", 1) + "/v1/websocket"
        )
        self._token = site.account.token(identity)
        self._connection: ClientConnection
        self._ids = count(1)
        self._others: list[Frame] = []

    def __enter__(self) -> Self:
        self._connection = self._connecting.__enter__()
        assert self.ask("connect", token=self._token)["type"] == "connected"
        return self

    def __exit__(self, *_: object) -> None:
        self._connecting.__exit__(None, None, None)

    def ask(self, type_: str, **fields: object) -> Frame:
        """Send a request and return its reply; other frames are kept."""
        request_id = self.request(type_, **fields)
        while (frame := self._next()).get("id") != request_id:
            self._others.append(frame)
        return frame

    def request(self, type_: str, **fields: object) -> int:
        """Send a request without waiting, and return its id."""
        request_id = next(self._ids)
        self._send({"type": type_, "id": request_id, **fields})
        return request_id

    def receive(self) -> Frame:
        """Return the next frame, answering pings."""
        return self._others.pop(0) if self._others else self._next()

    def closed(self) -> int:
        """Return the server's close code; no frame may precede it."""
        try:
            frame = self.receive()
        except ConnectionClosed:
            return int(self._connection.close_code or 0)
        raise AssertionError(frame)

    def _next(self) -> Frame:
        frame: Frame = json.loads(self._connection.recv(WAIT_SECONDS))
        if frame["type"] != "ping":
            return frame
        self._send({"type": "pong"})
        return self._next()

    def _send(self, frame: Frame) -> None:
        self._connection.send(json.dumps(frame))
