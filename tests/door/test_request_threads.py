"""Threads of requests: which one each gets, when it is reused, how many are kept."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished
from django.db import connection
from django.db.backends.signals import connection_created

from sync_streams.concurrency import BoundedRequests
from sync_streams.processes.request_threads import Lender
from tests.settings import ACCOUNT_SID, AUTH_TOKEN

SECONDS = 30
current = sync_to_async(threading.get_ident)
elsewhere = sync_to_async(threading.get_ident, thread_sensitive=False)


async def in_turn(lender: Lender, work: Callable[[], Awaitable[int]]) -> int:
    async with lender.lend(2):
        return await work()


async def test_a_request_keeps_its_thread_and_leaves_it_to_the_next() -> None:
    lender, seen = Lender(), []
    for _ in range(3):
        async with lender.lend(2), ThreadSensitiveContext():
            seen += [await current(), await current()]

    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


async def test_requests_at_the_same_time_have_threads_of_their_own() -> None:
    lender, together = Lender(), threading.Barrier(3, timeout=SECONDS)

    def meet() -> int:
        together.wait()
        return threading.get_ident()

    seen = await asyncio.gather(
        *(in_turn(lender, sync_to_async(meet)) for _ in range(3))
    )
    later = [await in_turn(lender, current) for _ in range(3)]

    assert len(set(seen)) == 3
    assert set(later) <= set(seen)


async def test_only_some_of_many_threads_are_kept() -> None:
    lender, together = Lender(), threading.Barrier(4, timeout=SECONDS)
    meet = sync_to_async(together.wait)
    await asyncio.gather(*(in_turn(lender, meet) for _ in range(4)))

    seen = [await in_turn(lender, current) for _ in range(4)]
    assert len(set(seen)) == 1
    assert len(lender._free) == 2


async def test_a_thread_is_reused_once_its_call_has_ended() -> None:
    """A client that leaves ends its request, but not the view that is running."""
    lender, goes_on, begun = Lender(), threading.Event(), threading.Event()

    def view() -> None:
        begun.set()
        assert goes_on.wait(SECONDS)

    async def request() -> None:
        async with lender.lend(2):
            await sync_to_async(view)()

    left = asyncio.create_task(request())
    await asyncio.to_thread(begun.wait, SECONDS)
    left.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not left.done()
    async with asyncio.timeout(SECONDS):
        async with lender.lend(2):
            await current()  # of another thread, since that one is busy
        goes_on.set()
        with suppress(asyncio.CancelledError):
            await left
    assert len(lender._free) == 2


async def test_the_caller_s_thread_is_kept() -> None:
    lender = Lender()
    async with ThreadSensitiveContext():
        outer = await current()
        async with lender.lend(2):
            assert await current() == outer
    assert lender._free == []


async def test_a_thread_returned_early_is_reused_at_once() -> None:
    lender = Lender()
    async with lender.lend(2) as give_back:
        first = await current()
        give_back()
        assert await in_turn(lender, current) == first
        # Its own context still runs there.
        assert await current() == first
    assert len(lender._free) == 1


async def test_a_view_may_wait_for_the_loop_and_for_other_threads() -> None:
    lender = Lender()

    async def inner() -> tuple[int, int]:
        return await current(), await elsewhere()

    def view() -> tuple[int, int, int]:
        return threading.get_ident(), *async_to_sync(inner)()

    async with lender.lend(2), asyncio.timeout(SECONDS):
        outer, same, other = await sync_to_async(view)()

    assert outer == same != other


@pytest.fixture
def seen() -> Iterator[list[tuple[str, int]]]:
    """What happens to the database in which thread, until requests are finished."""
    happened: list[tuple[str, int]] = []

    def opened(**_: object) -> None:
        happened.append(("opened", threading.get_ident()))

    def finished(**_: object) -> None:
        # Django's own receiver, which closes connections, is called before.
        state = "open" if connection.connection else "closed"
        happened.append((state, threading.get_ident()))

    connection_created.connect(opened)
    request_finished.connect(finished)
    yield happened
    request_finished.disconnect(finished)
    connection_created.disconnect(opened)


@pytest.mark.django_db(transaction=True)
async def test_requests_of_django_share_a_thread_that_keeps_no_connection(
    seen: list[tuple[str, int]],
) -> None:
    application = BoundedRequests(get_asgi_application())
    login = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode())
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/Services",
        "headers": [(b"host", b"localhost"), (b"authorization", b"Basic " + login)],
        "query_string": b"",
    }
    for _ in range(4):
        client: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        await client.send_input({"type": "http.request", "body": b""})
        assert (await client.receive_output(SECONDS))["status"] == 200
        await client.receive_output(SECONDS)
        await client.wait(SECONDS)

    thread = seen[0][1]
    assert seen == [("opened", thread), ("closed", thread)] * 4
    assert threading.get_ident() != thread
