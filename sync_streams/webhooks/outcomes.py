"""Outcomes: what became of the webhooks, in figures and at most a line a minute.

An endpoint that fails does so thousands of times: the first failure of a Service is
logged at once, those of the following minute together.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Literal

from sync_streams.background import new_lock

logger = logging.getLogger(__name__)

Outcome = Literal[
    "delivered",
    "overflow",
    "blocked",
    "timeout",
    "unreachable",
    "refused",
    "no auth token",
    "error",
]
"""``overflow``: too many waited; ``blocked``: the address is not public;
``unreachable``: no connection, or what came was not HTTP; ``refused``: the answer was
not 2xx (a redirect is not followed); ``error``: a fault here or of the project's own
sender, with a traceback at level ``DEBUG``."""

REPORT_SECONDS = 60

Later = Callable[[float, Callable[[], None]], None]
"""Calls a function some seconds later."""


class Outcomes:
    """Outcomes of this process."""

    def __init__(self) -> None:
        self.totals: Counter[Outcome] = Counter()
        """How many there were of each, since the process started."""
        self.forget()

    def note(
        self, service_sid: str, outcome: Outcome, later: Later, detail: str = ""
    ) -> None:
        """Count an outcome; log a Service's first failure, and the others in time."""
        with self._lock:
            self.totals[outcome] += 1
            if outcome == "delivered":
                return
            if service_sid in self._unreported:
                self._unreported[service_sid][outcome] += 1
                return
            self._unreported[service_sid] = Counter()
        why = f"{outcome}: {detail}" if detail else outcome
        logger.warning("webhook of %s failed: %s", service_sid, why)
        later(REPORT_SECONDS, lambda: self.report(service_sid, later))

    def forget(self) -> None:
        """Start at nought again; what is not logged yet will not be."""
        # The lock as well: at the moment of a fork another thread may have held it.
        self._lock = new_lock()
        self.totals.clear()
        self._unreported: dict[str, Counter[Outcome]] = {}

    def report(self, service_sid: str, later: Later) -> None:
        """Log what failed since the last line; when nothing did, forget the Service."""
        with self._lock:
            counts = self._unreported.pop(service_sid, None)
            if not counts:
                return
            self._unreported[service_sid] = Counter()
        what = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        logger.warning("webhooks of %s failed: %s", service_sid, what)
        later(REPORT_SECONDS, lambda: self.report(service_sid, later))


outcomes = Outcomes()
