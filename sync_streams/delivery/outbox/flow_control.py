"""Credit: how much one client may be sent, and for how long, without an answer.

Servers differ in what they tell of a slow reader: uvicorn's ``send`` waits while the
transport is full, Daphne's never does (https://github.com/django/daphne/issues/170).
So the clock is what the client itself acknowledges: at most ``in_flight_max_bytes``
are out without an answer, whatever the server says.
"""

import asyncio
import random

from sync_streams.conf import Settings

from .acknowledgements import Acknowledgements
from .frames import Frame

ASK_AT = 1 / 8, 3 / 8
"""Share of the credit, between these, after which a client is asked for an answer."""


class Credit:
    """What one connection was sent and has acknowledged; the base of its outbox."""

    # No object of its own: a delivery counts its bytes here, and touches few of them.
    __slots__ = (
        "_is_asking",
        "_limits",
        "_seen",
        "_timer",
        "acknowledgements",
        "check_at",
        "sent",
    )

    def __init__(self, limits: Settings) -> None:
        """Begin with nothing sent."""
        self._limits = limits
        self.acknowledgements = Acknowledgements()
        """What the client has still to acknowledge, and how quick it was."""
        self.sent = 0
        """Bytes, by any way."""
        self._is_asking = False
        self._timer: asyncio.TimerHandle | None = None
        self._seen = (False, 0)
        self.check_at = 0
        """Bytes up to which nobody need ask, nor wait."""
        self._set_check()

    def give_up(self) -> None:
        """End the connection: it takes nothing any more; the outbox's."""
        raise NotImplementedError

    @property
    def _is_owing(self) -> bool:
        """Whether the client has something to take or to acknowledge; the outbox's."""
        raise NotImplementedError

    @property
    def _has_room(self) -> bool:
        in_flight = self.sent - self.acknowledgements.read
        return in_flight < self._limits.in_flight_max_bytes

    @property
    def _progress(self) -> tuple[bool, int]:
        # Two clocks: one that is asked for an answer only now has made none yet.
        is_asked = self.acknowledgements.are_due
        return is_asked, self.acknowledgements.read if is_asked else self.sent

    def _count(self, frame: Frame) -> None:
        self.sent += frame.size
        if frame.ack_id is not None:
            self.acknowledgements.expect(frame.ack_id, self.sent, frame.messages)

    def _set_check(self) -> None:
        credit = self._limits.in_flight_max_bytes
        if not (self.acknowledgements.are_due or self._is_asking):
            # Connections of one Stream are sent the same and must not be asked at once:
            # thousands of acknowledgements together would hold up the next Message.
            credit = int(credit * random.uniform(*ASK_AT))  # noqa: S311 - spread
        self.check_at = self.acknowledgements.read + credit - 1

    def _watch(self) -> None:
        if self._timer is None and self._is_owing:
            self._seen = self._progress
            self._timer = asyncio.get_running_loop().call_later(
                self._limits.stuck_timeout_seconds, self._look
            )

    def _look(self) -> None:
        self._timer = None
        if self._is_owing and self._seen == self._progress:
            self.give_up()
        else:
            self._watch()
