"""Health of a running site, as a load balancer checks it."""

import json
from typing import Any

import pytest
import requests
from django.test import RequestFactory
from redis import Redis

from sync_streams.conf import get_settings
from sync_streams.connections.registry import connections
from sync_streams.delivery.hub import get_hub
from sync_streams.health import ready
from tests.conftest import StartSite
from tests.programs import DemoSite, RedisServer, free_port
from tests.waiting import wait_until

TIMEOUT = 30


def test_a_running_site_lives_and_is_ready(embedded: DemoSite) -> None:
    assert requests.get(f"{embedded.base_url}/livez", timeout=TIMEOUT).ok

    answer = requests.get(f"{embedded.base_url}/readyz", timeout=TIMEOUT)

    assert answer.status_code == 200
    assert answer.json() == {
        "database": True,
        "channel_layer": True,
        "publish_rate": True,
        "accepting": True,
        "event_loop": True,
        "descriptors": True,
        "database_writes": True,
    }


def test_a_site_without_its_redis_is_live_but_not_ready(
    start_site: StartSite,
) -> None:
    redis = RedisServer()
    redis.stop()

    site = start_site(REDIS_URL=redis.url)

    assert requests.get(f"{site.base_url}/livez", timeout=TIMEOUT).ok
    answer = requests.get(f"{site.base_url}/readyz", timeout=TIMEOUT)
    assert answer.status_code == 503
    assert answer.json()["channel_layer"] is False


@pytest.mark.parametrize("fault", ["full", "replica", "rights"])
def test_a_site_is_not_ready_while_its_redis_counts_nothing(
    fault: str, start_site: StartSite
) -> None:
    redis = RedisServer()
    client: Any = Redis(port=redis.port)
    site = start_site(REDIS_URL=redis.url)
    url = f"{site.base_url}/readyz"
    assert requests.get(url, timeout=TIMEOUT).ok

    if fault == "full":
        client.config_set("maxmemory", 1)
    elif fault == "replica":
        client.replicaof("127.0.0.1", free_port())
    else:
        client.execute_command("ACL", "SETUSER", "default", "-lpush")
    answer = requests.get(url, timeout=TIMEOUT)
    assert answer.status_code == 503
    assert answer.json()["publish_rate"] is False

    client.config_set("maxmemory", 0)
    client.replicaof("no", "one")
    client.execute_command("ACL", "SETUSER", "default", "+lpush")
    wait_until(lambda: requests.get(url, timeout=TIMEOUT).ok)
    redis.stop()


async def failed_parts() -> set[str]:
    """Return the parts that are false in this process, except its database."""
    parts = json.loads((await ready(RequestFactory().get("/readyz"))).content)
    return {part for part, holds in parts.items() if not holds} - {"database"}


async def test_a_process_that_drains_or_lags_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await failed_parts() == set()
    probe, seconds = get_hub().membership.probes[0], get_settings().max_lag_seconds
    for lag, failed in ((seconds, set()), (1.01 * seconds, {"event_loop"})):
        probe.lag = lag
        assert await failed_parts() == failed
    probe.lag = 0

    monkeypatch.setattr(connections, "is_draining", True)
    assert await failed_parts() == {"accepting"}
