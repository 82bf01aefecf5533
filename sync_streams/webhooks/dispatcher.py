"""Dispatcher: one thread with one event loop that sends this process's webhooks.

It serves callers of every kind (views, sockets, commands, tasks) and keeps the work off
their event loop. Each Service has a few lanes, each of which sends one webhook at a
time, and each account has its share of the process, so an endpoint that does not
respond delays only its own webhooks.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar
from zlib import crc32

import aiohttp

from sync_streams.conf import get_settings
from sync_streams.processes.background import BackgroundLoop, new_lock

from . import client
from .outcomes import Outcome, outcomes
from .resolver import Resolver
from .shares import Flights, Queue
from .webhook import Webhook

logger = logging.getLogger(__name__)

T = TypeVar("T")

LANES = 4
"""Webhooks of one Service that can be in flight at once."""

MAX_WAITING = 20_000
"""Webhooks of all accounts that can wait in a process; one account gets half."""


class DeliveryFailed(Exception):
    """A webhook was not delivered, or its endpoint refused it."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(outcome, detail)  # pickle restores it from these
        self.outcome: Outcome = outcome
        """The kind of failure."""
        self.detail = detail
        """Details: a status or an error."""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.detail}" if self.detail else self.outcome


class Dispatcher:
    """The thread, its loop, and the webhooks that wait in it."""

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        """Start the thread.

        Args:
            nameservers: DNS servers to query; by default, the machine's own.
        """
        self._nameservers = nameservers
        self._session: aiohttp.ClientSession | None = None
        self._resolver: Resolver | None = None
        self._background = BackgroundLoop("sync_streams_webhooks", self._open)
        self._loop = self._background.loop
        self._lanes: dict[tuple[str, int], deque[Webhook]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue, self._flights = Queue(MAX_WAITING), Flights()
        self._begun = 0
        self._lock = new_lock()
        self._changed = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._background.is_running

    def put(self, webhook: Webhook) -> None:
        """Queue a webhook; never waits, never raises."""
        size = get_settings().webhook_queue_size
        if not self._queue.take(webhook.account_sid, webhook.service_sid, size):
            outcomes.note(webhook.service_sid, "overflow", self.call_later)
            return
        self._loop.call_soon_threadsafe(self._line_up, webhook)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call a function in the loop after *delay* seconds; from any thread."""
        self._loop.call_soon_threadsafe(self._loop.call_later, delay, callback)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a function in the loop; from any thread."""
        self._loop.call_soon_threadsafe(callback, *args)

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Run a coroutine in the loop and wait for its result; from any other thread.

        Raises:
            TimeoutError: it took longer than *seconds*.
        """
        return self._background.run(coroutine, seconds)

    async def deliver(self, webhook: Webhook) -> None:
        """Send a webhook now; call it in the loop.

        Raises:
            DeliveryFailed: it was not delivered; with the reason.
        """
        account = get_settings().accounts.get(webhook.account_sid)
        if account is None or not account.auth_token:
            raise DeliveryFailed("no auth token")
        if self._session is None:
            raise DeliveryFailed("error", "no resolver")
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
        """Count the start of something :meth:`flush` waits for; from any thread."""
        with self._lock:
            self._begun += 1

    def end(self) -> None:
        """Count its end; in the loop."""
        with self._lock:
            self._begun -= 1
        self._changed.set()

    def flush(self, seconds: float) -> bool:
        """Wait at most *seconds* for the queue to empty; tell whether it did."""
        try:
            self.run(self._idle(), seconds)
        except TimeoutError:
            return False
        return True

    def close(self) -> int:
        """Stop, and return how many waiting webhooks are lost."""
        lost = len(self._queue)
        self.run(self._close())
        self._background.stop()
        return lost

    def _open(self) -> None:
        # Now, not with the first webhook: the resolver starts a thread, which Python
        # 3.12 and later no longer allow once a process has begun to exit.
        self._resolver = Resolver(self._nameservers)
        self._session = client.new_session(self._resolver)

    async def _idle(self) -> None:
        while self._queue or self._begun:
            self._changed.clear()
            await self._changed.wait()

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
            webhook = lane.popleft()
            await self._flights.begin(webhook.account_sid)
            outcome, detail = await self._outcome(webhook)
            self._flights.end(webhook.account_sid)
            outcomes.note(key[0], outcome, self.call_later, detail)
            self._queue.give_back(webhook.account_sid, webhook.service_sid)
            self._changed.set()
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
        if self._resolver is not None:
            await self._resolver.close()


_lock = new_lock()
_dispatchers: list[Dispatcher] = []


def get_dispatcher() -> Dispatcher:
    """Return this process's dispatcher, starting it if needed."""
    with _lock:
        if not _dispatchers or not _dispatchers[0].is_alive:
            _dispatchers[:] = [Dispatcher()]
        return _dispatchers[0]


def peek_dispatcher() -> Dispatcher | None:
    """Return this process's dispatcher, if it has one."""
    with _lock:
        return next((one for one in _dispatchers if one.is_alive), None)


def forget_after_fork() -> None:
    """Start over in a forked process, where the parent's thread does not run."""
    # At the fork, the lock may have been held by a thread that does not exist here.
    global _lock
    _lock = new_lock()
    _dispatchers.clear()
