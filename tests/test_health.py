"""Health of a running site, as a load balancer asks for it."""

import requests

from tests.conftest import StartSite
from tests.services import DemoSite, RedisServer

TIMEOUT = 10


def test_a_running_site_lives_and_is_ready(embedded: DemoSite) -> None:
    assert requests.get(f"{embedded.base_url}/livez", timeout=TIMEOUT).ok

    answer = requests.get(f"{embedded.base_url}/readyz", timeout=TIMEOUT)

    assert answer.status_code == 200
    assert answer.json() == {
        "database": True,
        "channel_layer": True,
        "accepting": True,
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
