"""Gauges: figures of this process that metrics read at each scrape.

None of them looks at each connection: with thousands of them, that holds up the event
loop for longer than all the rest of a scrape.
"""

import resource
import time
from collections.abc import Callable

from sync_streams import __version__, health
from sync_streams.conf import get_settings
from sync_streams.connections.registry import connections
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import Hub, latest_hub
from sync_streams.delivery.meters import Labels
from sync_streams.processes import descriptors
from sync_streams.redis.rate_limit import refusals
from sync_streams.webhooks.outcomes import outcomes

STARTED = time.time()


def _of_hub(read: Callable[[Hub], float]) -> Callable[[], float]:
    def gauge() -> float:
        hub = latest_hub()
        return 0 if hub is None else read(hub)

    return gauge


def _by_transport() -> dict[Labels, float]:
    return {(name,): count for name, count in connections.by_transport.items()}


GAUGES: dict[str, Callable[[], float]] = {
    "deliveries": lambda: counters.delivered,
    "acknowledged": lambda: counters.acknowledged,
    "dropped": lambda: counters.dropped,
    "events_rejected": lambda: counters.events_rejected,
    "rate_refusals": lambda: refusals.total,
    "times_unreachable": lambda: counters.times_unreachable,
    "probes_missed": lambda: counters.probes_missed,
    "subscriptions": _of_hub(lambda hub: hub.subscriptions.total),
    "streams_subscribed": _of_hub(lambda hub: hub.subscriptions.subscribed_streams),
    "backlog_messages": lambda: counters.waiting,
    "event_queue_length": _of_hub(lambda hub: hub.waiting),
    "event_loop_lag_seconds": _of_hub(lambda hub: max(0.0, hub.lag)),
    "unreachable": _of_hub(lambda hub: hub.is_unreachable),
    "draining": lambda: connections.is_draining,
    "max_connections": lambda: get_settings().max_connections,
    "max_lag_seconds": lambda: get_settings().max_lag_seconds,
    "open_descriptors": descriptors.count,
    "max_descriptors": lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "start_time_seconds": lambda: STARTED,
}
"""Figures without labels, by name; Prometheus counts those that only grow."""

TABLES: dict[str, Callable[[], dict[Labels, float]]] = {
    "connections": _by_transport,
    "gaps": lambda: {
        ("yes",): counters.gaps_told,
        ("no",): counters.gaps_untold,
    },
    "ready": lambda: {(part,): holds for part, holds in health.last_answer.items()},
    "webhooks": lambda: {(name,): count for name, count in outcomes.totals.items()},
    "info": lambda: {(__version__,): 1},
}
"""Figures with labels, by name and label values."""
