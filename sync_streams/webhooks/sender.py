"""Sender: the way out, by this process's dispatcher or the project's task queue."""

import logging

from sync_streams.conf import get_settings, imported

from .dispatcher import DeliveryFailed, get_dispatcher, peek_dispatcher
from .outcomes import outcomes
from .webhook import Webhook

__all__ = ["DeliveryFailed", "close", "deliver", "flush", "send"]

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5
"""Time that a process which ends leaves to webhooks that wait."""


def send(webhook: Webhook) -> None:
    """Send a webhook, soon, by whatever ``webhook_sender`` says; never raises."""
    sender = get_settings().webhook_sender
    if not sender:
        get_dispatcher().put(webhook)
        return
    try:
        imported(sender)(webhook.to_dict())
    except Exception as error:
        logger.debug("webhook of %s", webhook.service_sid, exc_info=True)
        later = get_dispatcher().call_later
        outcomes.note(webhook.service_sid, "error", later, repr(error))


def deliver(webhook: dict[str, object]) -> None:
    """Send a webhook now: what a task does with what ``webhook_sender`` was handed.

    Raises:
        DeliveryFailed: it did not get there, or the answer was not 2xx. A failed
            connection was tried twice; whether to try later is the task's decision.
    """
    dispatcher = get_dispatcher()
    dispatcher.run(dispatcher.deliver(Webhook.from_dict(webhook)))


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until no webhook of this process waits any more.

    Args:
        seconds: how long, at most.

    Returns:
        Whether that is so.
    """
    dispatcher = peek_dispatcher()
    return dispatcher is None or dispatcher.flush(seconds)


def close() -> None:
    """Send what waits, for 5 seconds at most; the process ends."""
    dispatcher = peek_dispatcher()
    if dispatcher is None:
        return
    dispatcher.flush(FLUSH_SECONDS)
    if lost := dispatcher.close():
        logger.warning("%s webhooks were not sent before the process ended", lost)
