"""``python -m tests.processes.forks``: children of a process that serves sockets."""

import asyncio
import multiprocessing
from typing import Any

from tests.processes.site import set_up
from tests.settings import ACCOUNT_SID

set_up()

from asgiref.sync import sync_to_async  # noqa: E402
from django.db import connections  # noqa: E402

from sync_streams import operations  # noqa: E402
from sync_streams.cache import lookups  # noqa: E402
from sync_streams.connections.registry import connections as sockets  # noqa: E402
from sync_streams.delivery.hub import is_receiving  # noqa: E402
from sync_streams.management.destination import Destination  # noqa: E402
from sync_streams.management.sockets import ask, next_frame, open_socket  # noqa: E402
from sync_streams.publishing import apublish, publish  # noqa: E402

fork = multiprocessing.get_context("fork")
HERE = Destination(url="", service="default", account_sid=ACCOUNT_SID)


def child(answers: Any) -> None:
    """Report what remains of the parent, and publish in both ways."""
    service = lookups.cached_service(ACCOUNT_SID, "default")
    answers.put((is_receiving(), service, len(sockets)))
    publish("orders", {"from": "child"})
    asyncio.run(apublish("orders", {"from": "loop of the child"}))
    answers.put("published")


def view() -> list[object]:
    """Fork, as a view may."""
    connections.close_all()
    answers: Any = fork.Queue()
    process = fork.Process(target=child, args=(answers,), daemon=True)
    process.start()
    told = [answers.get(timeout=60) for _ in range(2)]
    process.join(60)
    return told


async def main() -> None:
    """Serve a socket, and print the result of the fork."""
    async with open_socket(HERE) as socket:
        await ask(socket, "connect", token=HERE.token("alice"))
        await ask(socket, "subscribe", stream="orders")
        await apublish("orders", {"from": "parent"})
        told = await sync_to_async(view)()
        await sync_to_async(publish)("orders", {"from": "parent, again"})
        for _ in range(4):
            print((await next_frame(socket))["message"]["data"]["from"])
        service = await sync_to_async(operations.find_service)(ACCOUNT_SID, "default")
        print(service.unique_name, *told)


asyncio.run(main())
