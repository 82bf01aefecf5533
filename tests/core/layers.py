"""Channel layers that misbehave, for the tests of what happens then."""

import asyncio
from typing import Any

from channels.layers import InMemoryChannelLayer


class FailingLayer(InMemoryChannelLayer):
    """Takes nothing."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        raise ConnectionError("the layer is away")


class SilentLayer(InMemoryChannelLayer):
    """Answers never."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await asyncio.Event().wait()


class DrowsyLayer(InMemoryChannelLayer):
    """Takes Messages never, and all else at once."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] == "message.published":
            await asyncio.Event().wait()
