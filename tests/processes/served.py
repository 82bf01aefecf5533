"""``python -m tests.processes.served``: publishes, serves, and publishes again."""

import asyncio
import os

from redis import Redis

from tests.processes.site import set_up

set_up(PROBE_SECONDS=0.1)

from sync_streams.delivery import hub  # noqa: E402
from sync_streams.delivery.cluster import stats  # noqa: E402
from sync_streams.delivery.cluster.event_loop import run_on_loop  # noqa: E402
from sync_streams.delivery.events import process_group  # noqa: E402
from sync_streams.publishing import publish  # noqa: E402
from tests.waiting import until, wait_until  # noqa: E402

hub.RECEIVE_AGAIN_SECONDS = 0
hub._latest.forget()
redis = Redis.from_url(os.environ["REDIS_URL"])


def members() -> int:
    """Return how many hubs are in the group of all processes."""
    group = process_group()
    [(_, listening)] = redis.pubsub_numsub(f"asgi__group__{group}")
    return int(listening) + int(redis.zcard(f"asgi:group:{group}"))


async def serving() -> list[int]:
    """Ask all processes whether they serve; ask again if none replies in time."""
    while True:
        if told := (await stats.aask([])).processes.values():
            return [one["serving"] for one in told]


async def serve() -> None:
    """Serve, until the hub that only received has left."""
    await hub.get_hub().start()
    await until(lambda: members() == 1)
    print(f"serving: {await serving()}, alone")


def receive() -> None:
    """Publish until this process receives changes again."""
    publish("orders", {"n": 1})
    publish("orders", {"n": 1})
    wait_until(hub.is_receiving)


async def lose() -> None:
    """Let the running hub doubt its connection, and wait until it trusts it again."""
    known = hub.get_hub()
    known.membership.doubt()
    await until(lambda: not known.is_unreachable)


receive()
asyncio.run(serve())
receive()
print("published")
run_on_loop(lose())
print(f"serving: {run_on_loop(serving())}")
publish("orders", {"n": 1})
print("published")
