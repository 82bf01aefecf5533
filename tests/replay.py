"""The frames of a document, replayed against the application in this process."""

import json
import re
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async

from sync_streams import operations
from tests.clients.wires import Closed, LocalWire
from tests.settings import ACCOUNT_SID

NAME = re.compile(r"<[a-z0-9 ]+>")


class Replay:
    """One reading of a document; its names, ``<stream>``, stand for values."""

    wire: LocalWire

    def __init__(self, path: str, *subprotocols: str, **tokens: str) -> None:
        """Begin to read.

        Args:
            path: where the application serves the protocol.
            subprotocols: which are offered.
            tokens: access tokens by their names, with ``_`` for a blank.
        """
        self._path, self._subprotocols = path, list(subprotocols)
        self.values = {
            f"<{name.replace('_', ' ')}>": token for name, token in tokens.items()
        }

    async def connect(self) -> None:
        """Open a connection; one that was open before is closed."""
        if hasattr(self, "wire"):
            await self.wire.close()
        self.wire = LocalWire(self._path, subprotocols=self._subprotocols or None)
        assert await self.wire.open()
        assert [*filter(None, [self.wire.subprotocol])] == self._subprotocols

    def fill(self, text: str) -> str:
        """Replace names with their values."""
        return NAME.sub(lambda name: self.values[name[0]], text)

    def match(self, expected: Any, actual: Any) -> None:
        """Compare two JSON values; a new name takes the corresponding value."""
        if isinstance(expected, dict):
            assert expected.keys() == actual.keys()
            for key, value in expected.items():
                self.match(value, actual[key])
        elif isinstance(expected, list):
            assert len(expected) == len(actual)
            for value, other in zip(expected, actual, strict=True):
                self.match(value, other)
        elif isinstance(expected, str) and NAME.fullmatch(expected):
            assert self.values.setdefault(expected, actual) == actual
        else:
            filled = self.fill(expected) if isinstance(expected, str) else expected
            assert filled == actual

    async def closed(self) -> int:
        """Return the server's close code."""
        try:
            frame = await self.wire.receive()
        except Closed as end:
            return end.code
        raise AssertionError(frame)

    async def operate(self, line: str) -> None:
        """Execute a line about REST, which removes a Stream or publishes to it."""
        line, sid = self.fill(line), self.values["<stream>"]
        if line == f"REST removes {sid}":
            await _call(operations.remove_stream, sid)
            return
        publishes = re.fullmatch(rf"REST publishes (.*) to {sid}", line)
        assert publishes, line
        await _call(operations.publish, sid, json.loads(publishes[1]))


async def _call(operation: Any, *arguments: Any) -> None:
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    await sync_to_async(partial(operation, service, *arguments))()
