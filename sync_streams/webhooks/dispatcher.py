"""Dispatcher: one thread with one event loop that sends this process's webhooks.

It serves callers of every kind, views, sockets, commands, tasks, and keeps the work off
their event loop. Each Service has a few lanes of its own, in each of which one webhook
goes after the other: an endpoint that does not answer delays its own webhooks only.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Lock, Thread
from typing import Any, TypeVar
from zlib import crc32

import aiohttp

from sync_streams.conf import get_settings

from . import client
from .outcomes import Outcome, outcomes
from .webhook import Webhook

logger = logging.getLogger(__name__)

T = TypeVar("T")

LANES = 4
"""Webhooks of one Service that are on their way at once."""

MAX_WAITING = 10_000
"""Webhooks of all Services that wait in a process."""

RESOLVER_THREADS = 32
"""Names looked up at once: a domain whose servers are silent holds one for long."""


class DeliveryFailed(Exception):
    """A webhook did not get there, or was not welcome."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(outcome, detail)  # as it is made again by pickle
        self.outcome: Outcome = outcome
        """What kind of failure it was."""
        self.detail = detail
        """More about it: a status, an error."""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.detail}" if self.detail else self.outcome


class Dispatcher:
    """The thread, its loop, and what waits in it."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(
            ThreadPoolExecutor(RESOLVER_THREADS, "sync_streams_webhooks")
        )
        self._session: aiohttp.ClientSession | None = None
        self._lanes: dict[tuple[str, int], deque[Webhook]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: Counter[str] = Counter()
        self._begun = 0
        self._changed = Condition(Lock())
        self._thread = Thread(
            target=self._loop.run_forever, name="sync_streams_webhooks", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; it does not survive a fork."""
        return self._thread.is_alive()

    def put(self, webhook: Webhook) -> None:
        """Send a webhook when its turn comes; never waits, never raises."""
        if not self._reserve(webhook.service_sid):
            outcomes.note(webhook.service_sid, "overflow", self.call_later)
            return
        self._loop.call_soon_threadsafe(self._line_up, webhook)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call a function in the loop after *delay* seconds; from any thread."""
        self._loop.call_soon_threadsafe(self._loop.call_later, delay, callback)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a function in the loop; from any thread."""
        self._loop.call_soon_threadsafe(callback, *args)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop; from any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def deliver(self, webhook: Webhook) -> None:
        """Send a webhook now; in the loop.

        Raises:
            DeliveryFailed: why it was not delivered.
        """
        account = get_settings().accounts.get(webhook.account_sid)
        if account is None or not account.auth_token:
            raise DeliveryFailed("no auth token")
        if self._session is None:
            self._session = client.new_session()
        try:
            status = await client.post(self._session, webhook, account.auth_token)
        except TimeoutError as error:
            raise DeliveryFailed("timeout") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            is_blocked = client.is_blocked(error)
            outcome: Outcome = "blocked" if is_blocked else "unreachable"
            raise DeliveryFailed(outcome, str(error)) from error
        if not 200 <= status < 300:
            raise DeliveryFailed("refused", str(status))

    def begin(self) -> None:
        """Count something that :meth:`flush` waits for."""
        with self._changed:
            self._begun += 1

    def end(self) -> None:
        """Count that it is done."""
        with self._changed:
            self._begun -= 1
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits, at most so long; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, seconds)

    def close(self) -> int:
        """Stop, and return how many webhooks still waited and are lost."""
        lost = self._waiting.total()
        self.submit(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return lost

    def _is_idle(self) -> bool:
        return not self._waiting and not self._begun

    def _reserve(self, service_sid: str) -> bool:
        with self._changed:
            is_full = self._waiting.total() >= MAX_WAITING
            size = get_settings().webhook_queue_size
            if is_full or self._waiting[service_sid] >= size:
                return False
            self._waiting[service_sid] += 1
            return True

    def _release(self, service_sid: str) -> None:
        with self._changed:
            self._waiting[service_sid] -= 1
            if not self._waiting[service_sid]:
                del self._waiting[service_sid]
                self._changed.notify_all()

    def _line_up(self, webhook: Webhook) -> None:
        key = webhook.service_sid, crc32(webhook.subject.encode()) % LANES
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = deque()
            task = self._loop.create_task(self._empty(key, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        lane.append(webhook)

    async def _empty(self, key: tuple[str, int], lane: deque[Webhook]) -> None:
        while lane:
            outcome, detail = await self._outcome(lane.popleft())
            outcomes.note(key[0], outcome, self.call_later, detail)
            self._release(key[0])
        del self._lanes[key]

    async def _outcome(self, webhook: Webhook) -> tuple[Outcome, str]:
        try:
            await self.deliver(webhook)
        except DeliveryFailed as failure:
            return failure.outcome, failure.detail
        except Exception as error:
            logger.debug("webhook of %s", webhook.service_sid, exc_info=True)
            return "error", repr(error)
        return "delivered", ""

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


_lock = Lock()
_dispatchers: list[Dispatcher] = []


def get_dispatcher() -> Dispatcher:
    """Return this process's dispatcher."""
    with _lock:
        if not _dispatchers or not _dispatchers[0].is_alive:
            _dispatchers[:] = [Dispatcher()]
        return _dispatchers[0]


def peek_dispatcher() -> Dispatcher | None:
    """Return this process's dispatcher, if it has one."""
    with _lock:
        return next((one for one in _dispatchers if one.is_alive), None)


def forget_after_fork() -> None:
    """Start anew in a forked child, where the thread does not exist."""
    # Another thread may have held the lock at that moment; it does not exist here.
    global _lock
    _lock = Lock()
    _dispatchers.clear()
