"""Worker: takes steps one at a time, in order, in the dispatcher's loop."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Step = Callable[[], Awaitable[None]]

Failed = Callable[[str, Exception], None]
"""Called with the Service and the error of a step that failed."""


class Worker:
    """The steps that concern one server."""

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self._steps: deque[tuple[str, Step]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.is_renewing = False
        """Whether leases on this server are being renewed."""
        self.has_failed = False
        """Whether a step has failed since leases were last about to be renewed."""

    @property
    def is_idle(self) -> bool:
        """Whether it has no steps to take."""
        return self._task is None

    def add(self, service_sid: str, step: Step) -> None:
        """Take a step after those that were added before."""
        self._steps.append((service_sid, step))
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while self._steps:
            service_sid, step = self._steps.popleft()
            try:
                await step()
            except Exception as error:
                self.has_failed = True
                self._failed(service_sid, error)
        self._task = None
