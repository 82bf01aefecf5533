"""Redis refuses, or is silent: 503/20503 in time, and one line in the log."""

import asyncio
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from sync_streams.layers import RedisChannelLayer
from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.pipeline import CLOCK_SECONDS
from tests.logs import lines_of
from tests.overrides import sync_settings
from tests.programs import ROOT, RedisServer, free_port
from tests.redis.conftest import NewLayer
from tests.redis.subscriber import (
    Subscriber,
    accepted,
    check_rate,
    event,
    publish,
    refused,
)
from tests.waiting import until

pytestmark = pytest.mark.redis


@pytest.fixture
async def layer(redis_server: RedisServer, new_layer: NewLayer) -> RedisChannelLayer:
    layer = new_layer(redis_server.url)
    await publish(layer)
    return layer


@contextmanager
def logged(caplog: pytest.LogCaptureFixture, *texts: str) -> Iterator[None]:
    """Expect these lines of Redis' health, each once and in this order."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "sync_streams.redis"):
        yield
    lines = lines_of("sync_streams.redis", caplog)
    assert len(lines) == len(texts), lines
    for text, line in zip(texts, lines, strict=True):
        assert text in line


def admin(server: RedisServer) -> Any:
    return redis.Redis.from_url(server.url)


async def test_a_message_over_the_rate_is_not_published(
    layer: RedisChannelLayer,
) -> None:
    await check_rate(layer)


async def test_a_replica_refuses_and_counts_nothing(
    redis_server: RedisServer,
    layer: RedisChannelLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = f"Redis 127.0.0.1:{redis_server.port} refuses to publish for 0.0 s: READONLY"
    async with Subscriber(layer) as subscriber:
        with logged(caplog, line, "publishes again"):
            admin(redis_server).replicaof("127.0.0.1", free_port())
            first = client_ids(redis_server)
            for _ in range(5):
                reason = await refused(layer)
                assert reason.startswith("READONLY") or reason == "replaced"
            # Another connection might have gone to the master.
            assert client_ids(redis_server) != first
            admin(redis_server).replicaof("no", "one")
            await accepted(lambda: publish(layer, 7), RedisUnavailable)
        await subscriber.until(1)

    assert set(subscriber.numbers) == {7}


def client_ids(server: RedisServer) -> set[str]:
    with redis.Redis(port=server.port) as client:
        own = str(client.client_id())
        return {str(one["id"]) for one in client.client_list()} - {own}


async def test_a_full_redis_publishes_nothing_that_it_cannot_count(
    redis_server: RedisServer,
    layer: RedisChannelLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Subscriber(layer) as subscriber:
        with logged(caplog, "refuses to publish for 0.0 s: OOM", "publishes again"):
            admin(redis_server).config_set("maxmemory", 1)
            assert (await refused(layer)).startswith("OOM")
            assert (await refused(layer)).startswith("OOM")
            admin(redis_server).config_set("maxmemory", 0)
            await publish(layer, 7)
        await subscriber.until(1)

    assert subscriber.numbers == [7]


async def test_a_script_that_redis_forgot_is_sent_again(
    redis_server: RedisServer,
    layer: RedisChannelLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Subscriber(layer) as subscriber:
        with logged(caplog):
            admin(redis_server).script_flush()
            await asyncio.gather(*(publish(layer, number) for number in range(20)))
        await subscriber.until(20)

    assert sorted(subscriber.numbers) == [*range(20)]


@pytest.mark.parametrize("right", ["-evalsha", "-publish", "-time", "-lpush"])
async def test_a_user_without_a_right_publishes_nothing(
    right: str, redis_server: RedisServer, new_layer: NewLayer
) -> None:
    admin(redis_server).execute_command(
        *("ACL", "SETUSER", "site", "on", ">secret", "~*", "&*", "+@all", right)
    )
    layer = new_layer(redis_server.url.replace("//", "//site:secret@"))

    async with Subscriber(new_layer(redis_server.url)) as subscriber:
        reason = await refused(layer)
        await publish(new_layer(redis_server.url), 9)
        await subscriber.until(1)

    assert re.search("NOPERM|user executing the script can't run|ACL failure", reason)
    assert subscriber.numbers == [9]


async def test_a_user_with_the_documented_permissions_publishes_and_receives(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    page = " ".join((ROOT / "docs/deployment.md").read_text().split())
    found = re.search(r"needs `~PREFIX:\*`, `(&\S+)`, and `([^`]+)`", page)
    assert found
    rights = ["~rate:*", found[1], *found[2].split()]
    admin(redis_server).execute_command(
        "ACL", "SETUSER", "site", "on", ">secret", *rights
    )
    layer = new_layer(redis_server.url.replace("//", "//site:secret@"))

    async with Subscriber(layer) as subscriber:
        await publish(layer, 1)
        await layer.send(subscriber.channel, event(2))
        await subscriber.until(2)

    assert subscriber.numbers == [1, 2]


async def test_a_user_without_permission_to_load_scripts_publishes(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    admin(redis_server).execute_command(
        *("ACL", "SETUSER", "site", "on", ">secret", "~*", "&*", "+@all", "-script")
    )
    layer = new_layer(redis_server.url.replace("//", "//site:secret@"))

    assert await publish(layer) == 0


async def test_a_user_without_subscribe_permission_is_refused_its_channel(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    admin(redis_server).execute_command(
        *("ACL", "SETUSER", "site", "on", ">secret", "~*", "&theirs*", "+@all")
    )
    url = redis_server.url.replace("//", "//site:secret@")

    with pytest.raises(RedisUnavailable):
        await new_layer(url).new_channel()
    assert await new_layer(url, prefix="theirs").new_channel()


async def test_a_wrong_password_is_reported_and_not_shown(
    redis_server: RedisServer, new_layer: NewLayer, caplog: pytest.LogCaptureFixture
) -> None:
    layer = new_layer(redis_server.url.replace("//", "//site:wrong-secret@"))

    with logged(caplog, "unreachable for 0.0 s: WRONGPASS"):
        assert "WRONGPASS" in await refused(layer)
        assert "WRONGPASS" in await refused(layer)

    assert "wrong-secret" not in caplog.text


async def test_a_redis_that_loads_refuses_until_it_has_loaded(
    redis_server: RedisServer,
    new_layer: NewLayer,
    tmp_path: Path,
) -> None:
    saving = RedisServer("--dir", str(tmp_path))
    admin(saving).mset({f"key:{number}": "x" * 100 for number in range(2_000)})
    admin(saving).save()
    saving.kill()
    slowly = "--key-load-delay 500 --loading-process-events-interval-bytes 1024"
    options = "--dir", str(tmp_path), *slowly.split()
    loading = RedisServer(*options, ready="Running mode")
    layer = new_layer(loading.url)

    async with asyncio.timeout(20):
        reason = await refused(layer)
        await accepted(lambda: publish(layer, 1), RedisUnavailable)

    assert "LOADING" in reason or "refused" in reason
    loading.stop()


async def test_one_server_of_a_cluster_says_that_it_is_not_alone(
    new_layer: NewLayer, tmp_path: Path
) -> None:
    bus = "--cluster-port", str(free_port()), "--dir", str(tmp_path)
    with RedisServer("--cluster-enabled", "yes", *bus) as alone:
        reason = await refused(new_layer(alone.url))

    assert "CLUSTERDOWN" in reason


async def test_an_unreachable_redis_is_reported_at_once(
    new_layer: NewLayer, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    layer = new_layer(f"redis://127.0.0.1:{port}/0")
    line = f"Redis 127.0.0.1:{port} unreachable for 0.0 s: connection refused"
    started = time.monotonic()

    with logged(caplog, line):
        for _ in range(10):
            assert await refused(layer) == "connection refused"

    assert time.monotonic() - started < 2


async def test_a_silent_redis_is_given_up_in_time_and_found_again(
    redis_server: RedisServer, new_layer: NewLayer, caplog: pytest.LogCaptureFixture
) -> None:
    with sync_settings(broadcast_timeout_seconds=1):
        layer = new_layer(redis_server.url)
        await publish(layer)
        async with Subscriber(layer) as subscriber:
            redis_server.freeze()
            for _ in range(3):
                started = time.monotonic()
                await refused(layer)
                assert time.monotonic() - started < 5
            redis_server.thaw()
            await accepted(lambda: publish(layer, 7), RedisUnavailable)
            while 7 not in subscriber.numbers:
                await subscriber.until(len(subscriber.numbers) + 1)

    assert re.search(r"unreachable for [1-4]\.\d s: no answer", caplog.text)


async def test_a_peer_that_takes_connections_and_says_nothing_is_given_up(
    new_layer: NewLayer,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        sync_settings(broadcast_timeout_seconds=0.3),
    ):
        layer = new_layer(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        started = time.monotonic()

        await refused(layer)
        with pytest.raises(RedisUnavailable):
            await layer.new_channel()

        assert time.monotonic() - started < 4


async def test_a_peer_that_speaks_another_protocol_is_no_redis(
    new_layer: NewLayer,
) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as peer:
        port = peer.sockets[0].getsockname()[1]
        reason = await refused(new_layer(f"redis://127.0.0.1:{port}/0"))

    assert "not Redis' protocol" in reason


async def test_a_redis_that_came_back_is_used_at_once(
    redis_server: RedisServer, layer: RedisChannelLayer
) -> None:
    async with Subscriber(layer) as subscriber:
        await asyncio.to_thread(redis_server.kill)
        await refused(layer)
        await asyncio.to_thread(redis_server.start)
        back = time.monotonic()
        while not subscriber.numbers:
            await accepted(lambda: publish(layer, 1), RedisUnavailable)
            await asyncio.sleep(0.01)

    assert time.monotonic() - back < 10


async def test_messages_sent_to_a_silent_redis_are_not_published_later(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    with sync_settings(broadcast_timeout_seconds=1):
        layer = new_layer(redis_server.url)
        await publish(layer)
        async with Subscriber(new_layer(redis_server.url)) as subscriber:
            redis_server.freeze()
            await refused(layer)
            redis_server.thaw()
            await accepted(lambda: publish(layer, 99), RedisUnavailable)
            await until(lambda: 99 in subscriber.numbers)

    assert subscriber.numbers == [99]


async def test_a_clock_that_was_put_forward_refuses_one_message_at_most(
    layer: RedisChannelLayer,
) -> None:
    shard: Any = layer._here.shards[0]
    # As if Redis' clock were 100 s behind what it is.
    shard._node.pipeline.clock_ahead -= 100

    assert await refused(layer, times=1) == "it came too late"
    assert await publish(layer) == 0


async def test_a_clock_that_goes_wrong_slowly_refuses_nothing(
    layer: RedisChannelLayer,
) -> None:
    shard: Any = layer._here.shards[0]
    pipeline = shard._node.pipeline
    right = pipeline.clock_ahead
    pipeline.clock_ahead -= 1
    pipeline.clock_read_at -= CLOCK_SECONDS + 1

    assert await publish(layer) == 0
    await until(lambda: abs(pipeline.clock_ahead - right) < 0.5)


async def test_a_crowd_of_commands_is_bounded(
    redis_server: RedisServer, layer: RedisChannelLayer
) -> None:
    with sync_settings(broadcast_timeout_seconds=0.5):
        redis_server.freeze()
        publishing = [publish(layer, number) for number in range(10_000)]
        answers = await asyncio.gather(*publishing, return_exceptions=True)
        redis_server.thaw()

    reasons = {getattr(answer, "reason", "") for answer in answers}
    assert "too many commands wait" in reasons
    assert all(isinstance(answer, RedisUnavailable) for answer in answers)
