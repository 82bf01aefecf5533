"""What a live response writes, on its way from its outbox to the server."""

import asyncio
from collections.abc import AsyncIterator


class Handoff:
    """Passes an outbox's data to the response, one piece at a time."""

    def __init__(self) -> None:
        self._data: bytes | None = None
        self._has_ended = False
        self._changed = asyncio.Event()
        self._taken: asyncio.Future[None] | None = None

    async def send(self, data: bytes) -> None:
        """Pass on a piece and wait until the server has taken it."""
        if self._has_ended:
            raise ConnectionResetError
        self._data = data
        self._taken = asyncio.get_running_loop().create_future()
        self._changed.set()
        await self._taken

    async def close(self, _: int) -> None:
        """End the response."""
        self.end()

    def end(self) -> None:
        """End the response after the data passed on so far."""
        self._has_ended = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            data, self._data = self._data, None
            if data is not None:
                yield data
                if self._taken is not None and not self._taken.done():
                    self._taken.set_result(None)
            if self._has_ended and self._data is None:
                return
