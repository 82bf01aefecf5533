"""Receivers: which changes send a webhook, and with which parameters.

Names follow https://www.twilio.com/docs/sync/webhooks, by analogy for Streams. A change
made over a socket and an expiry always send a webhook; one made with account
credentials does so only with ``webhooks_from_rest_enabled``.
"""

from contextlib import suppress

from django.core.exceptions import ImproperlyConfigured

from sync_streams import signals
from sync_streams.conf import get_settings
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.operations.data import Message

from .sender import DeliveryFailed, deliver, send
from .webhook import Webhook


def describe(
    event_type: str, service: Service, actor: Actor, **parameters: str | None
) -> Webhook:
    """Return the webhook for an event in a Service that has a ``webhook_url``."""
    fields = {
        "AccountSid": service.account_sid,
        "ServiceSid": service.sid,
        "EventType": event_type,
        "Identity": actor.identity,
        "EndpointId": actor.connection_id,
        **parameters,
    }
    return Webhook(
        url=service.webhook_url or "",
        account_sid=service.account_sid,
        service_sid=service.sid,
        parameters={name: text for name, text in fields.items() if text is not None},
    )


def try_webhook(service: Service, actor: Actor) -> str | None:
    """Send a ``webhook_test`` now; return the reason if it fails."""
    try:
        deliver(describe("webhook_test", service, actor).to_dict())
    except DeliveryFailed as failure:
        return str(failure)
    return None


def on_created(stream: Stream, actor: Actor, **_: object) -> None:
    """Send ``stream_created``."""
    _send("stream_created", stream, actor)


def on_removed(stream: Stream, actor: Actor, **_: object) -> None:
    """Send ``stream_removed``."""
    _send("stream_removed", stream, actor)


def _on_message(stream: Stream, message: Message, actor: Actor, **_: object) -> None:
    fields = {"MessageSid": message.sid, "MessageData": message.text}
    _send("stream_message_published", stream, actor, **fields)


def _send(event_type: str, stream: Stream, actor: Actor, **parameters: str) -> None:
    service = stream.service
    is_rest = actor.is_trusted and not actor.is_expiry
    if not service.webhook_url or (is_rest and not service.webhooks_from_rest_enabled):
        return
    about = {"StreamSid": stream.sid, "StreamUniqueName": stream.unique_name}
    send(describe(event_type, service, actor, **about, **parameters))


def connect_messages(*, setting: str = "SYNC_STREAMS", **_: object) -> None:
    """Connect or disconnect the Message receiver, according to ``webhook_messages``."""
    if setting != "SYNC_STREAMS":
        return
    # Only if enabled: a receiver costs a thread for each Message from a socket.
    signals.message_published.disconnect(_on_message)
    # The system checks report invalid settings.
    with suppress(ImproperlyConfigured):
        if get_settings().webhook_messages:
            signals.message_published.connect(_on_message)
