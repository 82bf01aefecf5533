"""Concurrency limit of an application: which requests run, wait or are refused."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from sync_streams import concurrency
from sync_streams.concurrency import BoundedRequests
from sync_streams.connections import places
from sync_streams.connections.frame_path import LIVE_EXTENSION

SECONDS = 10
WHOLE = {"type": "http.request", "body": b""}
LEFT = {"type": "http.disconnect"}


class Site:
    """A bounded application whose requests end when the test says so."""

    def __init__(self, application: Any = None) -> None:
        self.working: list[asyncio.Future[None]] = []
        self.came = asyncio.Event()
        self._bounded = BoundedRequests(application or self._work)

    async def _work(self, scope: Any, receive: Any, send: Any) -> None:
        done = asyncio.get_running_loop().create_future()
        self.working.append(done)
        self.came.set()
        await done
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    def request(
        self, *events: dict[str, Any], address: str = "a", path: str = "/"
    ) -> "asyncio.Task[list[Any]]":
        """Start a request; return its response."""
        sent: list[Any] = []
        coming = iter(events or [WHOLE])

        async def receive() -> Any:
            try:
                return next(coming)
            except StopIteration:
                return await asyncio.get_running_loop().create_future()

        async def send(event: Any) -> None:
            sent.append(event)

        async def run() -> list[Any]:
            scope = {"type": "http", "path": path, "client": (address, 1)}
            await self._bounded(scope, receive, send)
            return sent

        return asyncio.ensure_future(run())

    def finish(self, number: int) -> None:
        """Let the application answer the n-th request that it took."""
        self.working[number].set_result(None)


async def settle() -> None:
    """Run everything that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def status(request: "asyncio.Task[list[Any]]") -> int:
    return int((await asyncio.wait_for(request, SECONDS))[0]["status"])


@contextmanager
def places_for(number: int, *, waiting: int) -> Iterator[None]:
    values = {"MAX_REQUESTS": number, "MAX_WAITING_REQUESTS": waiting}
    with override_settings(SYNC_STREAMS=values):
        yield


async def test_requests_have_a_place_or_wait_or_are_refused() -> None:
    site = Site()
    with places_for(2, waiting=4):
        served = [site.request(address=f"{number % 2}") for number in range(6)]
        await settle()
        assert len(site.working) == 2
        refused = await asyncio.wait_for(site.request(address="x"), SECONDS)
        for number in range(6):
            site.finish(number)
            await settle()
        statuses = [await status(request) for request in served]

    assert statuses == [200] * 6
    headers = dict(refused[0]["headers"])
    assert refused[0]["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"connection"] == b"close"
    assert json.loads(refused[1]["body"]) == {
        "code": 20503,
        "message": "Service unavailable",
        "more_info": "https://www.twilio.com/docs/errors/20503",
        "status": 503,
    }


@pytest.mark.parametrize(
    ("kind", "says_so", "statuses"),
    [
        (b"text/event-stream; charset=utf-8", False, [200, 200]),
        (b"application/x-ndjson", True, [200, 200]),
        (b"application/x-ndjson", False, [200, 503]),
    ],
)
async def test_only_a_live_response_gives_its_place_back_at_once(
    kind: bytes, says_so: bool, statuses: list[int]
) -> None:
    begun: list[int] = []

    async def stay(scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"Content-Type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if says_so:
            scope["extensions"][LIVE_EXTENSION]()
        await send({"type": "http.response.body", "more_body": True})
        begun.append(200)
        await asyncio.get_running_loop().create_future()

    site = Site(stay)
    with places_for(1, waiting=0):
        first = site.request()
        await settle()
        second = site.request()
        await settle()

        refused = [await status(second)] if second.done() else []
        assert [*begun, *refused] == statuses
        for request in (first, second):
            request.cancel()


async def test_one_address_takes_half_of_the_waiting_places_at_most() -> None:
    site = Site()
    with places_for(0, waiting=4):
        flood = [site.request(address="flood") for _ in range(3)]
        other = site.request(address="other")
        await settle()

        assert [request.done() for request in flood] == [False, False, True]
        assert await status(flood[2]) == 503
        assert not other.done()
        for request in (*flood, other):
            request.cancel()


async def test_addresses_have_their_turns_one_after_the_other() -> None:
    site = Site()
    with places_for(1, waiting=10):
        site.request(address="flood")
        await settle()
        for _ in range(3):
            site.request(address="flood")
        other = site.request(address="other")
        await settle()
        for number in range(3):
            site.finish(number)
            await settle()

        # The flood's first, then the other's.
        assert await status(other) == 200


@pytest.fixture
async def full() -> AsyncIterator[Site]:
    """A site whose only place is taken; two requests may wait."""
    site = Site()
    with places_for(1, waiting=2):
        site.request()
        await settle()
        yield site


async def is_next(site: Site) -> None:
    """Send a request that takes the only place after the current one."""
    last = site.request()
    await settle()
    site.finish(0)
    await settle()
    site.finish(1)
    assert await status(last) == 200


async def test_a_client_that_waits_too_long_is_asked_to_reconnect(
    monkeypatch: pytest.MonkeyPatch, full: Site
) -> None:
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.05)
    assert await status(full.request()) == 503
    # It no longer waits, so another can take its place.
    assert await status(full.request()) == 503
    monkeypatch.setattr(places, "WAIT_SECONDS", SECONDS)
    await is_next(full)


async def test_a_client_that_leaves_while_it_waits_leaves_no_hole(full: Site) -> None:
    gone = full.request()
    await settle()
    gone.cancel()
    await settle()
    await is_next(full)


async def test_the_request_of_a_client_that_has_left_never_begins(full: Site) -> None:
    for events in ([WHOLE, LEFT], [LEFT]):
        assert await asyncio.wait_for(full.request(*events), SECONDS) == []
    await is_next(full)
    assert len(full.working) == 2


async def test_requests_that_wait_for_something_else_get_more_places() -> None:
    site = Site()
    with places_for(8, waiting=0):
        requests = [site.request() for _ in range(8)]
        await settle()
        assert len(site.working) == places.FIRST_PLACES
        async with asyncio.timeout(SECONDS):
            while len(site.working) < 8:
                site.came.clear()
                await site.came.wait()
        assert await status(site.request()) == 503
        for number in range(8):
            site.finish(number)
        assert [await status(request) for request in requests] == [200] * 8


async def test_requests_that_compute_get_no_further_places() -> None:
    site = Site()
    with places_for(8, waiting=0):
        requests = [site.request() for _ in range(8)]
        for _ in range(4):
            until = time.monotonic() + 3 * places.LOOK_SECONDS
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)
        assert len(site.working) == places.FIRST_PLACES
        for request in requests:
            request.cancel()


async def test_a_body_that_is_not_there_yet_holds_no_place() -> None:
    site = Site()
    with places_for(1, waiting=0):
        slow = site.request({"type": "http.request", "body": b"a", "more_body": True})
        await settle()
        quick = site.request()
        await settle()
        site.finish(0)
        assert await status(quick) == 200
        slow.cancel()


async def test_a_long_response_holds_its_place_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "STREAM_SECONDS", 0.05)
    began = asyncio.get_running_loop().create_future()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await began
        else:
            began.set_result(None)

    site = Site(stream)
    with places_for(1, waiting=2):
        requests = [site.request(path=path) for path in ("/stream", "/")]
        await asyncio.wait_for(asyncio.gather(*requests), SECONDS)


async def test_large_bodies_share_a_memory_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "LARGE_BODIES_BYTES", 100_000)

    def part(size: int, *, more_body: bool) -> dict[str, Any]:
        return {"type": "http.request", "body": b"a" * size, "more_body": more_body}

    site = Site()
    large = site.request(part(116_384, more_body=True))
    await settle()
    assert await status(site.request(part(16_385, more_body=True))) == 503
    small = site.request(part(16_384, more_body=False))
    await settle()
    site.finish(0)
    assert await status(small) == 200
    large.cancel()
    await settle()
    again = site.request(part(116_384, more_body=False))
    await settle()
    site.finish(1)
    assert await status(again) == 200
