"""Metrics for Prometheus: a view that any process answers for all of them.

Route it where only your own network reaches it::

    path("metrics", metrics.metrics)

It needs ``pip install sync-streams[metrics]``. Whichever process is scraped asks the
others over the channel layer, so that workers behind one port need no shared files; the
label ``process`` tells them apart. One that does not answer within a quarter of a
second is missing from that scrape. See
https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from .databases import without_transaction
from .delivery.cluster import survey
from .delivery.hub import Hub
from .delivery.meters import BUCKETS, meters
from .errors import ServiceUnavailable

logger = logging.getLogger(__name__)

ASKED = "metrics.asked"
PREFIX = "sync_streams_"

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: what it is, what it tells, and the names of its labels."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


FAMILIES = {
    "publishes": Family(
        "counter",
        "Messages that were asked to be published, by transport and outcome: "
        "published, or the code of the error.",
        ("transport", "outcome"),
    ),
    "publishes_given_up": Family(
        "counter",
        "Messages of try_publish and publish_on_commit that were not published, by the "
        "code of the error.",
        ("code",),
    ),
    "publish_seconds": Family("histogram", "Time that publishing a Message took."),
    "broadcast_seconds": Family(
        "histogram", "Time that the channel layer took for a Message, rate included."
    ),
    "delivery_seconds": Family(
        "histogram", "Time from publishing a Message to its delivery in a process."
    ),
    "database_seconds": Family(
        "histogram", "Time that finding a Service or Stream in the database took."
    ),
    "deliveries": Family("counter", "Messages handed to connections."),
    "acknowledged": Family("counter", "Messages that SDKs have acknowledged."),
    "dropped": Family("counter", "Messages dropped, since a reader was too slow."),
    "gaps": Family(
        "counter",
        "Losses that connections were told of, or, SDKs, could not be told of.",
        ("told",),
    ),
    "events_rejected": Family("counter", "Events from the layer that made no sense."),
    "rate_refusals": Family("counter", "Messages refused for their rate (54009)."),
    "connections_opened": Family(
        "counter", "Connections, by transport.", ("transport",)
    ),
    "connections_closed": Family(
        "counter",
        "Connections that ended, by the server's close code, or by their client.",
        ("transport", "code"),
    ),
    "connections": Family("gauge", "Connections now, by transport.", ("transport",)),
    "max_connections": Family("gauge", "Connections that the process accepts."),
    "subscriptions": Family("gauge", "Subscriptions now."),
    "streams_subscribed": Family("gauge", "Streams with subscribers now."),
    "backlog_messages": Family("gauge", "Frames that wait for slow readers."),
    "event_queue_length": Family("gauge", "Events that wait to be delivered."),
    "event_loop_lag_seconds": Family("gauge", "How late the event loop last was."),
    "max_lag_seconds": Family("gauge", "Lag above which newcomers are rejected."),
    "ready": Family(
        "gauge", "What readyz last answered, by part: 1 if it is in order.", ("part",)
    ),
    "unreachable": Family("gauge", "1 while no events reach the process."),
    "times_unreachable": Family("counter", "Times that no events reached the process."),
    "probes_missed": Family("counter", "Probes of the layer that did not return."),
    "draining": Family("gauge", "1 while the process closes its connections."),
    "open_descriptors": Family("gauge", "File descriptors in use."),
    "max_descriptors": Family("gauge", "File descriptors that may be in use."),
    "webhooks": Family("counter", "Webhooks, by outcome.", ("outcome",)),
    "start_time_seconds": Family("gauge", "When the process started, since 1970."),
    "info": Family("gauge", "1, with the version.", ("version",)),
}
"""Every metric by its name, which :data:`PREFIX` precedes. One that something counts
and that is not named here is left out."""


async def answer(_: Hub, question: Mapping[str, Any]) -> None:
    """Answer for this process."""
    await survey.reply(question, samples=meters.samples())


@without_transaction
@never_cache
@login_not_required
async def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of all processes, or 501 without prometheus-client."""
    try:
        prometheus = import_module("prometheus_client")
        cores = import_module("prometheus_client.core")
    except ImportError:
        text = "Metrics need: pip install sync-streams[metrics]\n"
        return HttpResponse(text, status=501, content_type="text/plain")
    answers = {survey.process_name(): meters.samples()}
    try:
        others = await survey.aask({"type": ASKED})
        answers |= {name: answer["samples"] for name, answer in others.items()}
    except ServiceUnavailable:
        logger.debug("the other processes could not be asked")
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(cores, answers))
    content_type = str(prometheus.CONTENT_TYPE_LATEST)
    return HttpResponse(prometheus.generate_latest(registry), content_type=content_type)


class _Collector:
    """Hands samples to prometheus-client, in the shape that it wants."""

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
