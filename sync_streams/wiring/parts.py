"""Parts: the only place that connects parts which do not know each other.

Importing a module connects nothing; ``apps.ready()`` calls :func:`connect` once.
"""

import atexit

from django.core.checks import register
from django.core.signals import request_started, setting_changed
from django.db.models.signals import post_migrate

from sync_streams import checks, conf, metrics, signals
from sync_streams.cache import lookups
from sync_streams.connections import departure, peers, registry, report
from sync_streams.delivery.cluster import activity, commands, listing, ranking, stats
from sync_streams.delivery.cluster.event_loop import loops
from sync_streams.delivery.events import Event, ServiceEvent
from sync_streams.delivery.hooks import hooks
from sync_streams.delivery.hub import Hub, is_receiving, receive_soon
from sync_streams.delivery.meters import meters
from sync_streams.operations import announcements, sweeper
from sync_streams.webhooks import reachability, receivers, sender

from . import forks


def connect() -> None:
    """Connect everything, once the models are loaded."""
    conf.hide_settings()
    setting_changed.connect(conf.on_setting_changed)
    post_migrate.connect(conf.forget_prefix)
    register(checks.check_settings, checks.TAG)
    register(checks.check_deployment, checks.TAG, deploy=True)
    _connect_hub()
    _connect_webhooks()
    meters.gauges |= metrics.gauges()
    request_started.connect(sweeper.on_first_request)
    forks.connect()
    atexit.register(loops.stop)
    atexit.register(sender.close)


def _connect_hub() -> None:
    # A process that starts to receive has missed all earlier changes.
    hooks.started += [lookups.forget_all, stats.start_history]
    hooks.serving += [sweeper.start, peers.introduce]
    hooks.lost.append(lookups.forget_all)
    hooks.unreachable.append(registry.close_all_unreachable)
    hooks.stream_changed.append(_forget_stream)
    hooks.handlers |= {
        "service.changed": _forget_service,
        stats.ASKED: stats.answer,
        activity.ASKED: activity.answer,
        ranking.ASKED: ranking.answer,
        listing.ASKED: report.answer,
        peers.ASKED: peers.answer,
        metrics.ASKED: metrics.answer,
        commands.DISCONNECT: commands.authenticated(registry.disconnect),
        commands.DRAIN: commands.authenticated(departure.drain_this),
    }
    lookups.keep_while(is_receiving, receive_soon)
    stats.figures |= registry.FIGURES


def _connect_webhooks() -> None:
    signals.stream_created.connect(receivers.on_created)
    signals.stream_removed.connect(receivers.on_removed)
    setting_changed.connect(receivers.connect_messages)
    receivers.connect_messages()
    announcements.webhook_trials.append(receivers.try_webhook)
    announcements.endpoint_listeners.append(reachability.note)


def _forget_stream(event: Event) -> None:
    lookups.forget_stream(event["stream_sid"])


async def _forget_service(_: Hub, __: ServiceEvent) -> None:
    lookups.forget_all()
