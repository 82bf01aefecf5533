"""Outcomes of webhooks, as counts and at most one log line per Service and minute.

A broken endpoint fails thousands of times, so only a Service's first failure is logged
at once; those of the following minute are summarised.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Literal

from sync_streams.processes.background import new_lock

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
"""``overflow``: too many were waiting; ``blocked``: the address is not public;
``unreachable``: no connection, or the response was not HTTP; ``refused``: the response
was not 2xx (redirects are not followed); ``error``: a fault here or in the project's
own sender, with a traceback at level ``DEBUG``."""

REPORT_SECONDS = 60

Later = Callable[[float, Callable[[], None]], None]
"""Calls a function after a number of seconds."""


class Outcomes:
    """Outcomes of this process's webhooks."""

    def __init__(self) -> None:
        self.totals: Counter[Outcome] = Counter()
        """Number of each outcome since the process started."""
        self.forget()

    def note(
        self, service_sid: str, outcome: Outcome, later: Later, detail: str = ""
    ) -> None:
        """Count an outcome; log a Service's first failure now, and others later."""
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
        """Reset all counts; failures not logged yet never will be."""
        # The lock too: another thread may have held it at the moment of a fork.
        self._lock = new_lock()
        self.totals.clear()
        self._unreported: dict[str, Counter[Outcome]] = {}

    def report(self, service_sid: str, later: Later) -> None:
        """Log failures since the last line; if there are none, forget the Service."""
        with self._lock:
            counts = self._unreported.pop(service_sid, None)
            if not counts:
                return
            self._unreported[service_sid] = Counter()
        what = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        logger.warning("webhooks of %s failed: %s", service_sid, what)
        later(REPORT_SECONDS, lambda: self.report(service_sid, later))


outcomes = Outcomes()
