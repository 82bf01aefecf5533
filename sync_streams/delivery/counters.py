"""What this process has delivered and dropped since it started."""

from dataclasses import dataclass

from sync_streams.stream_rates import StreamRates


@dataclass(slots=True)
class Counters:
    """Totals of one process."""

    published: int = 0
    """Messages that this process has broadcast for their publishers."""

    delivered: int = 0
    """Messages put into outboxes."""

    dropped: int = 0
    """Messages that a connection was not sent because it, or this process, was too
    slow."""

    gaps_told: int = 0
    """Gaps that connections were told of."""

    gaps_untold: int = 0
    """Gaps of connections whose protocol, the SDK's, cannot tell them."""

    acknowledged: int = 0
    """Messages acknowledged by clients whose protocol acknowledges each."""

    unasked: int = 0
    """Acknowledgements of nothing that was sent, or of the same frame again."""

    events_rejected: int = 0
    """Events from the layer that could not be read."""

    closed_as_stuck: int = 0
    """Connections closed because they took nothing any more."""

    probes_missed: int = 0
    """Times that this process did not receive its own probe."""

    times_unreachable: int = 0
    """Times that this process became unreachable: it may have missed events."""


counters = Counters()

published_rates = StreamRates()
"""Messages that this process has broadcast, by Stream."""

dropped_rates = StreamRates()
"""Messages that connections were not sent, by Stream."""
