"""The hub on this layer: a broken connection is reported as a possible loss."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from sync_streams.delivery.cluster import survey
from sync_streams.delivery.cluster.broadcast import abroadcast_message
from sync_streams.delivery.hub import Hub
from sync_streams.errors import RateLimited, ServiceUnavailable
from sync_streams.operations.data import Message
from sync_streams.redis import rate_limit
from tests.delivery.client import Client, published
from tests.delivery.hubs import subscribed
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.redis.subscriber import accepted, hub_on
from tests.waiting import until

pytestmark = pytest.mark.redis


@pytest.fixture
async def hub(redis_server: RedisServer) -> AsyncIterator[Hub]:
    async with hub_on("sync_streams.layers.RedisChannelLayer", redis_server.url) as hub:
        yield hub


async def publish(sid: str, number: int) -> None:
    await abroadcast_message(published(Message.new(sid, {"n": number})))


def gaps(client: Client) -> list[Any]:
    return [frame for frame in client.frames if frame["type"] == "gap"]


async def test_subscribers_are_notified_of_a_broken_connection(
    hub: Hub, redis_server: RedisServer
) -> None:
    sid, client = await subscribed(hub)
    await publish(sid, 1)
    await client.until(1)

    admin: Any = redis.Redis(port=redis_server.port)
    admin.client_kill_filter(_type="pubsub")
    await until(lambda: gaps(client))
    await accepted(lambda: publish(sid, 2), ServiceUnavailable)
    await until(lambda: 2 in client.numbers)

    kinds = [frame["type"] for frame in client.frames]
    assert kinds == ["message", "gap", "message"]


async def test_an_unreachable_process_publishes_nothing_to_its_own_subscribers(
    hub: Hub, redis_server: RedisServer
) -> None:
    sid, client = await subscribed(hub)
    admin: Any = redis.Redis(port=redis_server.port)
    admin.execute_command("ACL", "SETUSER", "default", "-subscribe")
    admin.client_kill_filter(_type="pubsub")
    await until(lambda: hub.is_unreachable)

    with pytest.raises(ServiceUnavailable):
        await publish(sid, 1)

    admin.execute_command("ACL", "SETUSER", "default", "+subscribe")
    await accepted(lambda: publish(sid, 2), ServiceUnavailable)
    await until(lambda: 2 in client.numbers)


async def test_a_refused_message_is_counted_as_refused_and_reaches_no_one(
    hub: Hub,
) -> None:
    sid, client = await subscribed(hub)
    three_a_minute = {"publish_rate": 3 / 60, "publish_window_seconds": 60}
    with sync_settings(**three_a_minute, probe_seconds=600):
        for number in range(3):
            await publish(sid, number)
        with pytest.raises(RateLimited) as refused:
            await publish(sid, 3)
    await publish(sid, 4)
    await client.until(4)

    assert client.numbers == [0, 1, 2, 4]
    assert 0 < refused.value.retry_after <= 60
    assert rate_limit.refusals.count(sid) == 1


async def test_a_survey_leaves_no_channel_behind_whether_it_was_sent_or_not(
    hub: Hub, redis_server: RedisServer
) -> None:
    admin: Any = redis.Redis(port=redis_server.port)
    await until(lambda: len(hub.tasks) == 2)  # it has asked for its peers, too
    before = set(admin.pubsub_channels())

    await survey.aask({"type": "stats.asked", "stream_sids": []})
    admin.execute_command("ACL", "SETUSER", "default", "-publish")
    with pytest.raises(ServiceUnavailable):
        await survey.aask({"type": "stats.asked", "stream_sids": []})

    await until(lambda: set(admin.pubsub_channels()) == before)
