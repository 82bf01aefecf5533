"""Places for requests that an application handles at once, assigned in turn.

Addresses take turns. Requests that compute share the interpreter's lock with the event
loop: many of them delay deliveries, without being answered any sooner. So there are few
places at first. There are more, up to ``max_requests``, while requests wait for
something else, such as a database: then the process is not busy, and its loop is on
time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from sync_streams.conf import get_settings

from . import bounds
from .lines import Lines

WAIT_SECONDS = 5
"""Maximum time that a request waits for a place."""

FIRST_PLACES = 4

LOOK_SECONDS = 0.02
"""Minimum time between two changes of the number of places while requests wait."""

LATE_SECONDS = 0.01
BUSY_SHARE = 0.7
"""Delay of the event loop, and share of a CPU, above which there is no capacity for
more requests."""


class Refused(Exception):
    """Ends the request with a refusal."""

    def __init__(self, refusal: bounds.Refusal) -> None:
        super().__init__(refusal.error.text)
        self.refusal = refusal


class Gone(Exception):
    """Ends a request after its client has left."""


class Places:
    """An application's places. Waiting addresses take turns."""

    def __init__(self) -> None:
        self._open, self._taken, self._waiting = FIRST_PLACES, 0, 0
        self._lines: Lines[asyncio.Future[None]] = Lines()
        self._is_looking = False

    @property
    def _most(self) -> int:
        return min(self._open, get_settings().max_requests)

    async def take(
        self, address: str, leaving: Callable[[], "asyncio.Future[Any] | None"]
    ) -> Callable[[], None]:
        """Wait for a place; return a function that gives it back, once.

        Args:
            address: the client's.
            leaving: returns a future that is done when the client leaves, if the
                request has to wait.

        Raises:
            Refused: 503: ``max_waiting_requests`` wait already, or half as many from
                this address, or no place became free within 5 seconds.
            Gone: the client has left.
        """
        if self._taken < self._most:
            self._taken += 1
        else:
            await self._wait(address, leaving)
        is_taken = True

        def give_back() -> None:
            nonlocal is_taken
            if is_taken:
                is_taken = False
                self._pass_on()

        return give_back

    async def _wait(
        self, address: str, leaving: Callable[[], "asyncio.Future[Any] | None"]
    ) -> None:
        turn = self._line_up(address)
        left = leaving()
        if left is not None:
            left.add_done_callback(lambda _: turn.cancel())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            self._step_out(address, turn)
            if isinstance(error, TimeoutError):
                raise Refused(bounds.NO_PLACE) from None
            if left is not None and left.done():
                raise Gone from None
            raise

    def _line_up(self, address: str) -> "asyncio.Future[None]":
        settings = get_settings()
        most = settings.max_waiting_requests
        # Do not count those that will soon have a place.
        soon = settings.max_requests - self._most
        mine = self._lines.length(address)
        if self._waiting >= most + soon or mine >= (most + 1) // 2 + soon:
            raise Refused(bounds.NO_PLACE)
        turn = asyncio.get_running_loop().create_future()
        self._lines.add(address, turn)
        self._waiting += 1
        self._look_soon()
        return turn

    def _step_out(self, address: str, turn: "asyncio.Future[None]") -> None:
        if not turn.cancelled():
            # A place was assigned at the same moment.
            self._pass_on()
            return
        if self._lines.discard(address, turn):
            self._waiting -= 1

    def _pass_on(self) -> None:
        """Assign a freed place to the first request of the next address."""
        while self._lines and self._taken <= self._most:
            turn = self._lines.take()
            self._waiting -= 1
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1

    def _look_soon(self) -> None:
        is_useful = self._waiting and get_settings().max_requests > FIRST_PLACES
        if is_useful and not self._is_looking:
            self._is_looking = True
            before = time.monotonic(), time.process_time()
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look, *before)

    def _look(self, began: float, computed: float) -> None:
        """Open one more place, or close half of them if the process is busy."""
        self._is_looking = False
        seconds = time.monotonic() - began
        share = (time.process_time() - computed) / seconds
        if share > BUSY_SHARE or seconds > LOOK_SECONDS + LATE_SECONDS:
            self._open = max(FIRST_PLACES, self._open // 2)
        elif self._open < get_settings().max_requests:
            self._open += 1
        if self._waiting and self._taken < self._most:
            self._taken += 1
            self._pass_on()
        self._look_soon()
