"""Health of a running site, as a load balancer asks for it."""

import time
from typing import Any

import pytest
import requests
from redis import Redis

from tests.conftest import StartSite
from tests.programs import DemoSite, RedisServer, free_port

TIMEOUT = 10


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


def test_a_site_whose_redis_is_gone_lives_but_is_not_ready(
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
def test_a_site_whose_redis_counts_nothing_is_not_ready_until_it_does(
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
    deadline = time.monotonic() + TIMEOUT
    while not requests.get(url, timeout=TIMEOUT).ok:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    redis.stop()
