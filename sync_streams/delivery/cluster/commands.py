"""Commands: an operator's instructions to all processes about their connections.

``connections.registry`` executes them. They are signed with a key that Django derives
from ``SECRET_KEY``: a channel layer may be shared with other sites, and a process must
execute only its own site's commands.
https://docs.djangoproject.com/en/stable/topics/signing/.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from django.core import signing
from django.core.exceptions import ImproperlyConfigured

from sync_streams.conf import get_settings
from sync_streams.delivery.events import process_group

from .broadcast import send_to_group, unavailable
from .event_loop import run_on_loop

logger = logging.getLogger(__name__)

Receiver = TypeVar("Receiver")

MAX_AGE_SECONDS = 300
"""Time for which a command is valid, as it may be recorded and replayed. The clocks of
the machines may differ by as much."""

DISCONNECT: Literal["command.disconnect"] = "command.disconnect"
DRAIN: Literal["command.drain"] = "command.drain"


class DisconnectCommand(TypedDict):
    """Close every connection of an identity to a Service, or one of them.

    Processes reply with ``count``, the number of connections that they close.
    """

    type: Literal["command.disconnect"]
    service_sid: str
    identity: str
    connection_id: NotRequired[str]
    """The one to close; if missing, all."""

    reply_to: NotRequired[str | None]
    """Channel of the survey that carries the command."""

    question: NotRequired[int | None]
    """Its number there."""


class DrainCommand(TypedDict):
    """Drain one process: it closes its connections and accepts no more."""

    type: Literal["command.drain"]
    process: str
    """Its name; see :func:`.survey.process_name`."""


def send(command: DrainCommand) -> None:
    """Send a command, from synchronous code; no process confirms it.

    Raises:
        ServiceUnavailable: 20503, the layer did not accept it within
            ``broadcast_timeout_seconds``.
    """
    run_on_loop(_send(signed(command)))


def authenticated(
    handle: Callable[[Receiver, Any], Awaitable[None]],
) -> Callable[[Receiver, Any], Coroutine[Any, Any, None]]:
    """Return a handler that passes on this site's signed commands and logs others."""

    async def handle_signed(receiver: Receiver, event: Mapping[str, Any]) -> None:
        try:
            command = signing.loads(
                event["signed"], salt=_salt(), max_age=MAX_AGE_SECONDS
            )
            is_ours = command["type"] == event["type"]
        except (KeyError, TypeError, AttributeError, signing.BadSignature):
            is_ours, command = False, {}
        if is_ours:
            address = {name: event.get(name) for name in ("reply_to", "question")}
            await handle(receiver, command | address)
        else:
            logger.error("%s was refused: not signed by this site", event["type"])

    return handle_signed


async def _send(event: Mapping[str, object]) -> None:
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await send_to_group(process_group(), event)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unavailable(error) from error


def signed(command: DisconnectCommand | DrainCommand) -> dict[str, object]:
    """Return the event that carries a command."""
    return {
        "type": command["type"],
        "signed": signing.dumps(dict(command), salt=_salt()),
    }


def _salt() -> str:
    # Sites that differ only in their prefix are different sites.
    return f"{get_settings().prefix}.commands"
