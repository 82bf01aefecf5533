"""``python -m tests.processes.loops``: an event loop for each task that publishes."""

import asyncio
import gc
import os
import weakref
from collections.abc import Callable
from threading import Thread

from redis import Redis

from tests.processes.site import set_up

set_up()

from asgiref.sync import async_to_sync  # noqa: E402

from sync_streams.publishing import apublish, publish  # noqa: E402

LOOPS = 30
redis = Redis.from_url(os.environ["REDIS_URL"])
loops: "weakref.WeakSet[asyncio.AbstractEventLoop]" = weakref.WeakSet()


def clients() -> int:
    """Return how many connections Redis has."""
    return int(redis.info("clients")["connected_clients"])


async def task() -> None:
    """Publish."""
    loops.add(asyncio.get_running_loop())
    await apublish("orders", {"n": 1})


def by_run() -> None:
    """Run the task as a worker does."""
    asyncio.run(task())


def by_thread() -> None:
    """Run the task in a thread that ends."""
    thread = Thread(target=by_run)
    thread.start()
    thread.join()


def growth(run: Callable[[], None]) -> str:
    """Print how many connections and event loops remain after many tasks."""
    run()
    before = clients()
    for _ in range(LOOPS):
        run()
    gc.collect()
    return f"{clients() - before} connections, {len(loops)} loops"


# A process that publishes again and again begins to receive, once.
publish("orders", {"n": 1})
publish("orders", {"n": 1})
for name, run in {
    "asyncio.run": by_run,
    "async_to_sync": async_to_sync(task),
    "thread": by_thread,
}.items():
    print(f"{name}: {growth(run)}")
