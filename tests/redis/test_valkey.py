"""Valkey in the place of Redis: the same script, the same refusals."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.urls import hosts
from tests.programs import RedisServer, ValkeyServer, free_port
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import (
    Subscriber,
    accepted,
    check_rate,
    publish,
    refused,
)

pytestmark = pytest.mark.redis

REFUSALS: dict[str, Callable[[Any], object]] = {
    "READONLY": lambda admin: admin.replicaof("127.0.0.1", free_port()),
    "OOM": lambda admin: admin.config_set("maxmemory", 1),
    "NOPERM": lambda admin: admin.execute_command("ACL", "SETUSER", "default", "-time"),
}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with ValkeyServer() as server:
        yield server


def valkey(server: RedisServer) -> list[Any]:
    return list(hosts(server.url.replace("redis://", "valkey://")))


async def test_messages_are_published_within_their_rate_and_received(
    server: RedisServer, new_layer: NewLayer
) -> None:
    await check_rate(new_layer(*valkey(server)))


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_refusal_is_one_and_publishes_nothing(
    reason: str, server: RedisServer, new_layer: NewLayer
) -> None:
    layer = new_layer(*valkey(server))
    await publish(layer)
    with redis.Redis.from_url(server.url) as admin:
        assert "valkey_version" in admin.info("server")
        async with Subscriber(layer) as subscriber:
            REFUSALS[reason](admin)
            said = await refused(layer, times=1)
            assert reason in said or "ACL failure in script" in said
            admin.execute_command("ACL", "SETUSER", "default", "+@all")
            admin.config_set("maxmemory", 0)
            admin.replicaof("no", "one")
            await accepted(lambda: publish(layer, 7), RedisUnavailable)
            await subscriber.until(1)

    assert set(subscriber.numbers) == {7}
