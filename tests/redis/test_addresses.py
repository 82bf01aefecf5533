"""Addresses and passwords of all kinds, for the layer and the rate limit."""

import asyncio
import importlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from sync_streams.redis import protocol
from sync_streams.redis.health import RedisUnavailable
from sync_streams.redis.rate_limit import aspend, async_client
from sync_streams.redis.urls import CONNECT_SECONDS, hosts
from sync_streams.values.sids import new_stream_sid
from tests.faults.sentinel import Guarded
from tests.overrides import sync_settings
from tests.programs import RedisServer
from tests.redis.conftest import NewLayer
from tests.redis.servers import Cluster, TlsServer, UnixServer
from tests.redis.subscriber import Subscriber, publish

pytestmark = pytest.mark.redis


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsServer]:
    with TlsServer(tmp_path) as server:
        yield server


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[UnixServer]:
    with UnixServer(tmp_path) as server:
        yield server


async def works(url: str, new_layer: NewLayer) -> None:
    """Publish and receive at an address, and count outside the layer."""
    layer = new_layer(*hosts(url))
    async with Subscriber(layer) as subscriber:
        await publish(layer, 1)
        await subscriber.until(1)
    with sync_settings(redis_url=url):
        sid = new_stream_sid()
        await aspend(sid)
        await async_client(url, sid).aclose()


async def test_a_database_has_a_number(
    redis_server: RedisServer, new_layer: NewLayer
) -> None:
    await works(f"redis://127.0.0.1:{redis_server.port}/3", new_layer)

    client: Any = redis.Redis(port=redis_server.port, db=3)
    assert client.dbsize() == 2


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_a_user_has_a_password(
    scheme: str, redis_server: RedisServer, new_layer: NewLayer
) -> None:
    admin: Any = redis.Redis(port=redis_server.port)
    rights = ("~*", "&*", "+@all")
    admin.execute_command("ACL", "SETUSER", "site", "on", ">p@ss:w/rd", *rights)

    await works(
        f"{scheme}://site:p%40ss%3Aw%2Frd@127.0.0.1:{redis_server.port}/0", new_layer
    )


async def test_all_have_one_password(new_layer: NewLayer) -> None:
    with RedisServer("--requirepass", "secret") as server:
        await works(f"redis://:secret@127.0.0.1:{server.port}/0", new_layer)
        with pytest.raises(RedisUnavailable) as refused:
            await publish(new_layer(f"redis://127.0.0.1:{server.port}/0"))

    assert refused.value.reason.startswith("NOAUTH")


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
async def test_tls_is_spoken_and_certificates_are_checked(
    scheme: str, tls: TlsServer, new_layer: NewLayer
) -> None:
    await works(f"{scheme}://{tls.address}/0?ssl_ca_certs={tls.certificate}", new_layer)

    with pytest.raises(RedisUnavailable) as refused:
        await publish(new_layer(*hosts(f"rediss://{tls.address}/0")))
    assert "certificate" in refused.value.reason.lower()


async def test_a_unix_socket_is_an_address(
    unix: UnixServer, new_layer: NewLayer
) -> None:
    await works(f"unix://{unix.path}", new_layer)


async def test_several_servers_share_the_streams(
    redis_server: RedisServer, redis_url: str, new_layer: NewLayer
) -> None:
    layer = new_layer(*hosts(f"{redis_server.url} {redis_url}"))
    groups = [f"sync_streams.stream.{number}" for number in range(50)]
    rate = ("rate", 1_000_000, 1_000_000)
    async with Subscriber(layer, *groups) as subscriber:
        for number, group in enumerate(groups):
            await layer.group_send_in_rate(group, {"n": number}, rate)
        await subscriber.until(50)

    assert sorted(subscriber.numbers) == [*range(50)]
    assert {layer.server_of(group) for group in groups} == {0, 1}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, password="of-the-sentinels") as guarded:
        yield guarded


async def test_sentinels_have_a_password_of_their_own(
    guarded: Guarded, new_layer: NewLayer
) -> None:
    await works(f"{guarded.url}?sentinel_password=of-the-sentinels", new_layer)

    with pytest.raises(RedisUnavailable) as refused:
        await publish(new_layer(*hosts(guarded.url)))
    assert "no Sentinel names mymaster: NOAUTH" in refused.value.reason


async def test_unreachable_sentinels_are_waited_for_together(
    new_layer: NewLayer,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        addresses = ",".join([f"127.0.0.1:{port}"] * 5)
        layer = new_layer(*hosts(f"sentinel://{addresses}/mymaster"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(RedisUnavailable) as refused:
            await publish(layer)
        assert loop.time() - started < 5 * CONNECT_SECONDS / 4

    assert refused.value.reason == "no Sentinel names mymaster: no answer"


async def test_a_cluster_has_a_password(tmp_path: Path, new_layer: NewLayer) -> None:
    with Cluster(tmp_path, password="secret") as cluster:
        await works(cluster.url.replace("//", "//:secret@"), new_layer)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("sentinel://one,two:5/m", [("one", 26379), ("two", 5)]),
        ("sentinel://[::1]:5,[::2]/m/1", [("::1", 5), ("::2", 26379)]),
        ("cluster://one,two:5", [("one", 6379), ("two", 5)]),
    ],
)
def test_several_addresses_are_read(url: str, host: list[tuple[str, int]]) -> None:
    (read,) = hosts(url)
    assert read.get("sentinels", read.get("cluster")) == host


def test_options_for_tls_are_read_as_redis_py_reads_them() -> None:
    query = "tls=true&ssl_check_hostname=false&ssl_ca_certs=/ca.crt"
    (cluster,) = hosts(f"cluster://one?{query}")
    (guarded,) = hosts(f"sentinel://one/m?{query}&sentinel_password=secret")

    tls = {"ssl": True, "ssl_check_hostname": False, "ssl_ca_certs": "/ca.crt"}
    assert tls.items() <= cluster.items()
    assert tls.items() <= guarded.items()
    assert (tls | {"password": "secret"}).items() <= guarded["sentinel_kwargs"].items()


@pytest.mark.parametrize(
    "url",
    [
        *("cluster://one/1", "cluster://one:x", "cluster://one:65536"),
        *("cluster://one?tls=maybe", "cluster://one?colour=red", "http://one"),
        *("redis://one:65536/0", "sentinel://one", "sentinel://one/m/x"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        hosts(url.replace("//", "//:secret@"))
    assert "secret" not in str(refused.value)


def test_without_hiredis_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, new_layer: NewLayer
) -> None:
    monkeypatch.setattr(protocol, "hiredis", None)

    with pytest.raises(ImproperlyConfigured, match=r"sync-streams\[redis\]"):
        new_layer("redis://127.0.0.1:6379")


def test_the_former_place_of_hosts_warns_and_works() -> None:
    with pytest.warns(DeprecationWarning, match="sync_streams.redis.urls"):
        former = importlib.import_module("sync_streams.shards")

    assert former.hosts is hosts
