"""Forks: resets what a forked process must not share with its parent.

Threads, event loops and connections stay with the parent, although the child has copies
of all references to them, and a lock that was held at the time is never released. This
concerns servers that preload the application, ``multiprocessing`` and task queues. See
https://docs.python.org/3/library/os.html#os.register_at_fork.
"""

import os

from sync_streams.cache import lookups
from sync_streams.connections import consumer, departure, peers, registry, termination
from sync_streams.delivery import counters, hub
from sync_streams.delivery.cluster import backpressure, event_loop, vitals
from sync_streams.redis import rate_limit
from sync_streams.webhooks import dispatcher, outcomes, reachability


def connect() -> None:
    """Reset each process that is forked from this one."""
    for forget in (
        event_loop.loops.forget,
        backpressure.forget,
        hub.forget_after_fork,
        lookups.forget_after_fork,
        rate_limit.forget_after_fork,
        registry.connections.forget,
        departure.departure.forget,
        peers.forget,
        consumer.new_prefix,
        counters.forget_waiting,
        counters.published_rates.forget,
        counters.published_by_service.forget,
        counters.dropped_rates.forget,
        vitals.note_start,
        termination.termination.forget,
        outcomes.outcomes.forget,
        dispatcher.forget_after_fork,
        reachability.forget_after_fork,
    ):
        os.register_at_fork(after_in_child=forget)
