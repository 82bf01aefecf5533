"""Channel layers that misbehave, for tests of the consequences."""

import asyncio
from typing import Any

from channels.layers import InMemoryChannelLayer


class FailingLayer(InMemoryChannelLayer):
    """Accepts nothing."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        raise ConnectionError("the layer is away")


class FlakyLayer(InMemoryChannelLayer):
    """Accepts every second event."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.offered: list[str] = []

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.offered.append(message["type"])
        if len(self.offered) % 2:
            raise ConnectionError("the layer is away")


class SilentLayer(InMemoryChannelLayer):
    """Never responds."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await asyncio.Event().wait()


class DrowsyLayer(InMemoryChannelLayer):
    """Never accepts Messages, and accepts everything else at once."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] == "message.published":
            await asyncio.Event().wait()
