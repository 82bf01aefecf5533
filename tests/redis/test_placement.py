"""Streams of one name are on one server, where their rate is counted together."""

from collections import Counter
from collections.abc import Iterator

import pytest
from channels.layers import channel_layers

from sync_streams.delivery.cluster.placement import new_sid_of_name
from sync_streams.delivery.events import stream_group
from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.rate_limit import rate
from sync_streams.values.sids import name_digits
from tests.conftest import StartRedis
from tests.programs import RedisServer
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import event

pytestmark = pytest.mark.redis

SERVERS = 3
NAMES = 60


@pytest.fixture
def servers(start_redis: StartRedis) -> list[RedisServer]:
    return [start_redis() for _ in range(SERVERS)]


@pytest.fixture
def layer(
    servers: list[RedisServer], new_layer: NewLayer
) -> Iterator[RedisChannelLayer]:
    """The default layer, on several servers."""
    layer = new_layer(*(server.url for server in servers))
    before = channel_layers["default"]
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", before)


async def test_streams_of_one_name_stay_on_its_server_and_names_are_spread(
    layer: RedisChannelLayer,
) -> None:
    found: Counter[int] = Counter()
    for number in range(NAMES):
        sids = [new_sid_of_name("IS0", f"name {number}") for _ in range(5)]
        (server,) = {layer.server_of(stream_group(sid)) for sid in sids}
        assert len(set(sids)) == 5
        assert len({name_digits(sid) for sid in sids}) == 1
        found[server] += 1

    assert len(found) == SERVERS


async def test_the_rate_of_a_name_is_one_over_several_servers(
    layer: RedisChannelLayer,
) -> None:
    for number in range(10):
        waits = []
        for _ in range(4):
            sid = new_sid_of_name("IS0", f"name {number}")
            key, *_ = rate(sid)
            group, three = stream_group(sid), (key, 3, 60_000_000)
            waits.append(await layer.group_send_in_rate(group, event(1), three))
        assert waits[:3] == [0] * 3
        assert 59 < waits[3] <= 60
