"""Sender: hands webhooks to this process's dispatcher or the project's task queue."""

import logging

from sync_streams.conf import get_settings, imported

from .dispatcher import DeliveryFailed, get_dispatcher, peek_dispatcher
from .outcomes import outcomes
from .webhook import Webhook

__all__ = ["DeliveryFailed", "close", "deliver", "flush", "send"]

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5
"""Time that an exiting process allows for sending queued webhooks."""


def send(webhook: Webhook) -> None:
    """Queue a webhook with the configured ``webhook_sender``, whose errors are counted.

    Raises:
        OSError, RuntimeError: no file descriptors or threads are left for the
            dispatcher, which the first webhook starts.
    """
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
    """Send a webhook now; a task calls this with what ``webhook_sender`` received.

    Raises:
        DeliveryFailed: there was no response, or it was not 2xx. Connecting has been
            tried twice; further retries are up to the task.
    """
    dispatcher = get_dispatcher()
    dispatcher.run(dispatcher.deliver(Webhook.from_dict(webhook)))


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until this process has no queued webhooks left.

    Args:
        seconds: maximum time to wait.

    Returns:
        Whether the queue is empty.
    """
    dispatcher = peek_dispatcher()
    return dispatcher is None or dispatcher.flush(seconds)


def close() -> None:
    """Send queued webhooks for at most 5 seconds before the process exits."""
    dispatcher = peek_dispatcher()
    if dispatcher is None:
        return
    dispatcher.flush(FLUSH_SECONDS)
    if lost := dispatcher.close():
        logger.warning("%s webhooks were not sent before the process exited", lost)
