"""Commands: what an operator tells every process to do with its connections.

``connections.registry`` carries them out.
"""

import asyncio
import logging
from typing import Literal, NotRequired, TypedDict

from django.core.exceptions import ImproperlyConfigured

from sync_streams.conf import get_settings
from sync_streams.delivery.events import PROCESS_GROUP
from sync_streams.errors import ServiceUnavailable

from .broadcast import send_to_group
from .event_loop import run_on_loop

logger = logging.getLogger(__name__)

DISCONNECT: Literal["command.disconnect"] = "command.disconnect"
DRAIN: Literal["command.drain"] = "command.drain"


class DisconnectCommand(TypedDict):
    """End every connection of an identity to a Service, or one of them.

    Processes reply with ``count``, the connections that they end.
    """

    type: Literal["command.disconnect"]
    service_sid: str
    identity: str
    connection_id: NotRequired[str]
    """The one to end; without it all are."""

    reply_to: NotRequired[str]
    """Channel of the survey that carries the command."""


class DrainCommand(TypedDict):
    """Close all connections of one process, which accepts no more."""

    type: Literal["command.drain"]
    process: str
    """Its name, as :func:`.survey.process_name` makes it."""


def send(command: DrainCommand) -> None:
    """Send a command, from synchronous code; no process confirms it.

    Raises:
        ServiceUnavailable: 20503, the layer did not take it within
            ``broadcast_timeout_seconds``.
    """
    run_on_loop(_send(command))


async def _send(command: DrainCommand) -> None:
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await send_to_group(PROCESS_GROUP, command)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        # Layers are pluggable and their errors share no base class.
        logger.warning("channel layer failed: %r", error)
        raise ServiceUnavailable from error
