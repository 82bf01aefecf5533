"""The hub of a test, on every channel layer that it must work on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sync_streams.delivery.hub import Hub
from tests.delivery.hubs import MEMORY_LAYERS, REDIS_LAYERS, hub_over


@pytest.fixture(
    params=[
        *MEMORY_LAYERS,
        *(pytest.param(n, marks=pytest.mark.redis) for n in REDIS_LAYERS),
    ]
)
def layer(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Configuration of each channel layer that the hub must work on."""
    if backend := MEMORY_LAYERS.get(request.param):
        return {"BACKEND": backend, "CONFIG": {"capacity": 10_000}}
    config: dict[str, Any] = {"hosts": [request.getfixturevalue("redis_url")]}
    if request.param == "core":
        config["capacity"] = 10_000
    return {"BACKEND": REDIS_LAYERS[request.param], "CONFIG": config}


@pytest.fixture
async def hub(layer: dict[str, Any]) -> AsyncIterator[Hub]:
    """A hub that listens, on the running loop."""
    async with hub_over(layer) as hub:
        yield hub
