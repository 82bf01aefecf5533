"""Channel layers on real Redis servers, closed when their test is over."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sync_streams.layers import RedisChannelLayer

NewLayer = Callable[..., RedisChannelLayer]


@pytest.fixture
async def new_layer() -> AsyncIterator[NewLayer]:
    """Make channel layers, ``new_layer("redis://…", prefix="x")``."""
    layers: list[RedisChannelLayer] = []

    def make(*hosts: Any, **options: Any) -> RedisChannelLayer:
        layers.append(RedisChannelLayer(hosts=list(hosts), **options))
        return layers[-1]

    yield make
    for layer in layers:
        await layer.flush()
