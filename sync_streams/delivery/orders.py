"""Orders: what an operator tells every process to do with its connections.

Whoever holds the connections puts a handler for each type into ``hub.handlers``.
"""

import asyncio
import logging
from typing import Literal, TypedDict

from sync_streams.conf import get_settings
from sync_streams.errors import ServiceUnavailable

from .broadcast import PROCESS_GROUP, run_on_loop, send_to_group

logger = logging.getLogger(__name__)

DISCONNECT: Literal["order.disconnect"] = "order.disconnect"
DRAIN: Literal["order.drain"] = "order.drain"


class DisconnectOrder(TypedDict):
    """End every connection of an identity to a Service."""

    type: Literal["order.disconnect"]
    service_sid: str
    identity: str


class DrainOrder(TypedDict):
    """Send all connections of one process away and take no more."""

    type: Literal["order.drain"]
    process: str
    """Its name, as :func:`~sync_streams.delivery.occupancy.process_name` makes it."""


def give(order: DisconnectOrder | DrainOrder) -> None:
    """Give an order, from synchronous code; nobody says whether it was carried out.

    Raises:
        ServiceUnavailable: 20503, the layer did not take it within
            ``broadcast_timeout_seconds``.
    """
    run_on_loop(_give(order))


async def _give(order: DisconnectOrder | DrainOrder) -> None:
    try:
        async with asyncio.timeout(get_settings().broadcast_timeout_seconds):
            await send_to_group(PROCESS_GROUP, order)
    except Exception as error:
        # Layers are pluggable and their errors share no base class.
        logger.warning("channel layer failed: %r", error)
        raise ServiceUnavailable from error
