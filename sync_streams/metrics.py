"""Metrics for Prometheus: a view in which any process answers for all of them.

Route it where only your own network can reach it::

    path("metrics", metrics.metrics)

It needs ``pip install sync-streams[metrics]``. The scraped process asks the others over
the channel layer, so workers behind one port need no shared files; the label
``process`` tells them apart. A process that does not reply within a quarter of a second
is missing from that scrape. See
https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import Any, Literal

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from . import __version__, health
from .conf import get_settings
from .connections.registry import connections
from .delivery.cluster import survey
from .delivery.counters import counters
from .delivery.hub import Hub, latest_hub
from .delivery.meters import BUCKETS, Reading, meters
from .errors import ServiceUnavailable
from .operations.databases import without_transaction
from .processes import descriptors
from .redis.rate_limit import refusals
from .webhooks.outcomes import outcomes

logger = logging.getLogger(__name__)

ASKED = "metrics.asked"
PREFIX = "sync_streams_"

_STARTED = time.time()

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its kind, its help text, its labels, and where it is read."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    read: Callable[[], Reading] | None = None
    """Returns its figures at each scrape; ``None``: ``meters`` count it as it happens.
    It must not look at each connection: with thousands, that blocks the event loop for
    longer than the rest of the scrape."""


def _of_hub(read: Callable[[Hub], float]) -> Callable[[], float]:
    def gauge() -> float:
        hub = latest_hub()
        return 0 if hub is None else read(hub)

    return gauge


def _by(read: Callable[[], Mapping[Any, float]]) -> Callable[[], Reading]:
    """Read a table of one label, by its values."""
    return lambda: {(value,): number for value, number in read().items()}


FAMILIES = {
    "publishes": Family(
        "counter",
        "Requests to publish a Message, by transport and outcome: published, or the "
        "error code.",
        ("transport", "outcome"),
    ),
    "publishes_given_up": Family(
        "counter",
        "Messages that try_publish and publish_on_commit could not publish, by error "
        "code.",
        ("code",),
    ),
    "publish_seconds": Family("histogram", "Time taken to publish a Message."),
    "broadcast_seconds": Family(
        "histogram",
        "Time taken by the channel layer for a Message, including the rate check.",
    ),
    "delivery_seconds": Family(
        "histogram", "Time from publishing a Message to its delivery in a process."
    ),
    "database_seconds": Family(
        "histogram", "Time taken to find a Service or Stream in the database."
    ),
    "deliveries": Family(
        "counter", "Messages handed to connections.", read=lambda: counters.delivered
    ),
    "acknowledged": Family(
        "counter", "Messages acknowledged by SDKs.", read=lambda: counters.acknowledged
    ),
    "dropped": Family(
        "counter",
        "Messages dropped because a reader was too slow.",
        read=lambda: counters.dropped,
    ),
    "gaps": Family(
        "counter",
        "Gaps in delivery, by whether the client was told (SDKs have no gap frame).",
        ("told",),
        read=_by(lambda: {"yes": counters.gaps_told, "no": counters.gaps_untold}),
    ),
    "events_rejected": Family(
        "counter",
        "Unreadable events from the channel layer.",
        read=lambda: counters.events_rejected,
    ),
    "rate_refusals": Family(
        "counter",
        "Messages rejected by the rate limit (54009).",
        read=lambda: refusals.total,
    ),
    "connections_opened": Family(
        "counter", "Connections, by transport.", ("transport",)
    ),
    "connections_closed": Family(
        "counter",
        "Connections closed, by the server's close code, or client if it closed.",
        ("transport", "code"),
    ),
    "connections": Family(
        "gauge",
        "Open connections, by transport.",
        ("transport",),
        read=_by(lambda: connections.by_transport),
    ),
    "max_connections": Family(
        "gauge",
        "Limit of open connections.",
        read=lambda: get_settings().max_connections,
    ),
    "subscriptions": Family(
        "gauge",
        "Current subscriptions.",
        read=_of_hub(lambda hub: hub.subscriptions.total),
    ),
    "streams_subscribed": Family(
        "gauge",
        "Streams that have subscribers.",
        read=_of_hub(lambda hub: hub.subscriptions.subscribed_streams),
    ),
    "backlog_messages": Family(
        "gauge", "Frames waiting for slow readers.", read=lambda: counters.waiting
    ),
    "event_queue_length": Family(
        "gauge",
        "Events waiting to be delivered.",
        read=_of_hub(lambda hub: hub.waiting),
    ),
    "event_loop_lag_seconds": Family(
        "gauge",
        "Latest delay of the event loop.",
        read=_of_hub(lambda hub: max(0.0, hub.lag)),
    ),
    "max_lag_seconds": Family(
        "gauge",
        "Lag above which new connections are rejected.",
        read=lambda: get_settings().max_lag_seconds,
    ),
    "ready": Family(
        "gauge",
        "Last result of readyz, by part: 1 if healthy.",
        ("part",),
        read=_by(lambda: health.last_answer),
    ),
    "unreachable": Family(
        "gauge",
        "1 while the process is unreachable.",
        read=_of_hub(lambda hub: hub.is_unreachable),
    ),
    "times_unreachable": Family(
        "counter",
        "Times the process became unreachable.",
        read=lambda: counters.times_unreachable,
    ),
    "probes_missed": Family(
        "counter",
        "Probes of the layer that did not return.",
        read=lambda: counters.probes_missed,
    ),
    "draining": Family(
        "gauge",
        "1 while the process is draining.",
        read=lambda: connections.is_draining,
    ),
    "open_descriptors": Family(
        "gauge", "File descriptors in use.", read=descriptors.count
    ),
    "max_descriptors": Family(
        "gauge",
        "Limit of open file descriptors.",
        read=lambda: descriptors.limit() or inf,
    ),
    "webhooks": Family(
        "counter",
        "Webhooks, by outcome.",
        ("outcome",),
        read=_by(lambda: outcomes.totals),
    ),
    "start_time_seconds": Family(
        "gauge", "Start of the process, since 1970.", read=lambda: _STARTED
    ),
    "info": Family(
        "gauge",
        "Always 1, labelled with the version.",
        ("version",),
        read=_by(lambda: {__version__: 1}),
    ),
}
"""Every metric by name, without :data:`PREFIX`. Figures not listed here are not
exported. Prometheus counts those that only grow."""


def gauges() -> dict[str, Callable[[], Reading]]:
    """Return what is read at each scrape, by name."""
    reads = ((name, family.read) for name, family in FAMILIES.items())
    return {name: read for name, read in reads if read is not None}


async def answer(_: Hub, question: Mapping[str, Any]) -> None:
    """Answer for this process."""
    await survey.reply(question, samples=meters.samples())


@without_transaction
@never_cache
@login_not_required
async def metrics(request: HttpRequest) -> HttpResponse:
    """Respond with the metrics of all processes, or 501 without prometheus-client."""
    try:
        prometheus = import_module("prometheus_client")
        cores = import_module("prometheus_client.core")
    except Exception as error:
        if not isinstance(error, ImportError):
            logger.exception("prometheus-client cannot be used")
        text = "Metrics need: pip install sync-streams[metrics]\n"
        return HttpResponse(text, status=501, content_type="text/plain")
    answers = await _ask()
    if survey.process_name() not in answers:
        answers[survey.process_name()] = meters.samples()
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(cores, answers))
    content_type = str(prometheus.CONTENT_TYPE_LATEST)
    return HttpResponse(prometheus.generate_latest(registry), content_type=content_type)


async def _ask() -> dict[str, Any]:
    """Return the samples of each process that answers."""
    try:
        answers = await survey.aask({"type": ASKED})
    except ServiceUnavailable:
        logger.debug("the other processes could not be queried")
        return {}
    return {name: answer["samples"] for name, answer in answers.items()}


class _Collector:
    """Passes samples to prometheus-client in its own types."""

    def __init__(self, cores: Any, answers: Mapping[str, Iterable[Any]]) -> None:
        self._cores, self._answers = cores, answers

    def collect(self) -> Iterator[Any]:
        """Yield each metric with the samples of all processes."""
        families = {name: self._family(name) for name in FAMILIES}
        for process, samples in self._answers.items():
            for name, labels, value in samples:
                if name in families:
                    _add(families[name], [process, *labels], value)
        yield from families.values()

    def _family(self, name: str) -> Any:
        family = FAMILIES[name]
        kind = f"{family.kind.capitalize()}MetricFamily"
        make = getattr(self._cores, kind)
        return make(PREFIX + name, family.help, labels=["process", *family.labels])


def _add(family: Any, labels: list[str], value: Any) -> None:
    if family.type != "histogram":
        family.add_metric(labels, value)
        return
    *counts, total = value
    buckets, so_far = [], 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        so_far += count
        buckets.append((bound, so_far))
    family.add_metric(labels, buckets, sum_value=total)
