"""Threads in which Django runs the synchronous parts of requests, kept between them.

Django gives each request a ``ThreadSensitiveContext``, so that all of its synchronous
code runs in one thread. asgiref starts that thread for the request, and another one
that waits for its end. Inside an outer context Django's own does nothing, so each
request here gets an outer one, and its thread then serves the next request.
https://github.com/django/asgiref#threading
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from .per_loop import PerLoop


class RequestThread(ThreadPoolExecutor):
    """One thread, started when a request first needs it."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="request")
        self._last: Future[Any] | None = None

    def submit(self, *args: Any, **options: Any) -> "Future[Any]":
        """Call a function in the thread, after those submitted before it."""
        self._last = super().submit(*args, **options)
        return self._last

    @property
    def is_idle(self) -> bool:
        """Whether certainly no call is running; one that was cancelled may be."""
        last = self._last
        return last is None or (last.done() and not last.cancelled())

    async def finish(self) -> None:
        """Wait for what is still running, such as a view after its client has left."""
        if not self.is_idle:
            await asyncio.wrap_future(super().submit(int))
        self._last = None  # it holds the response


class Lender:
    """An event loop's threads. A request that needs none starts none."""

    def __init__(self) -> None:
        self._free: list[tuple[ThreadSensitiveContext, RequestThread]] = []

    @asynccontextmanager
    async def lend(self, most: int) -> AsyncIterator[Callable[[], None]]:
        """Give the request of this task a thread; yield a function to return it early.

        If the task has one already, from the application's caller, it keeps that.

        Args:
            most: threads to keep while no request has them.
        """
        variable = SyncToAsync.thread_sensitive_context
        if variable.get(None) is not None:
            yield _nothing
            return
        context, thread = lent = self._free.pop() if self._free else _new()
        is_lent = True

        def give_back() -> None:
            nonlocal is_lent
            if is_lent and thread.is_idle:
                is_lent = False
                if len(self._free) < most:
                    self._free.append(lent)

        token = variable.set(context)
        try:
            yield give_back
        finally:
            variable.reset(token)
            if is_lent:
                await thread.finish()
                give_back()


def _new() -> tuple[ThreadSensitiveContext, RequestThread]:
    context, thread = ThreadSensitiveContext(), RequestThread()
    # The thread ends once nothing refers to the context any more.
    SyncToAsync.context_to_thread_executor[context] = thread
    return context, thread


def _nothing() -> None:
    pass


lenders = PerLoop(Lender)
