"""What this process has delivered and dropped since it started."""

from dataclasses import dataclass

from sync_streams.values.rates import Rates


@dataclass(slots=True)
class Counters:
    """Totals of one process, and what waits in it."""

    published: int = 0
    """Messages that this process has broadcast."""

    delivered: int = 0
    """Messages put into outboxes."""

    dropped: int = 0
    """Messages not sent to a connection because it or this process was too slow."""

    gaps_told: int = 0
    """Gaps reported to connections."""

    gaps_untold: int = 0
    """Gaps that a connection's protocol (the SDK's) cannot report."""

    acknowledged: int = 0
    """Messages acknowledged by clients whose protocol acknowledges each."""

    unasked: int = 0
    """Acknowledgements of a frame that was not sent, or was acknowledged before."""

    waiting: int = 0
    """Frames that wait in backlogs now."""

    events_rejected: int = 0
    """Unreadable events from the layer."""

    closed_as_stuck: int = 0
    """Connections closed because their client had stopped reading."""

    probes_missed: int = 0
    """Probes that did not return to this process."""

    times_unreachable: int = 0
    """Times this process became unreachable and may have missed events."""


counters = Counters()

published_rates = Rates()
"""Messages that this process has broadcast, by Stream."""

published_by_service = Rates()
"""The same Messages, by Service."""

dropped_rates = Rates()
"""Messages that connections were not sent, by Stream."""


def forget_waiting() -> None:
    """Reset, in a forked process, the number of frames waiting in its parent."""
    counters.waiting = 0
