"""What this process has delivered and dropped since it started."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals of one process."""

    delivered: int = 0
    """Messages put into outboxes."""

    dropped: int = 0
    """Messages that a connection was not sent because it, or this process, was too
    slow."""

    acknowledged: int = 0
    """Messages that clients whose protocol answers each have said to have read."""

    unasked: int = 0
    """Acknowledgements of nothing that was sent, or of the same frame again."""

    closed_as_stuck: int = 0
    """Connections closed because they took nothing any more."""

    probes_missed: int = 0
    """Times that this process did not receive its own probe."""

    times_unreachable: int = 0
    """Times that this process became unreachable: it may have missed events."""


counters = Counters()
