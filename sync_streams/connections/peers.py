"""Peers: the other processes that serve connections, and whether one has room.

A process introduces itself when it starts to serve. From then on it and the others know
that they are not alone, and one that stops can ask whether another is ready.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from channels.layers import InMemoryChannelLayer

from sync_streams.delivery.cluster import survey
from sync_streams.delivery.hub import Hub, get_hub
from sync_streams.errors import ServiceUnavailable
from sync_streams.processes.per_loop import PerLoop

from .registry import connections

ASKED = "peers.asked"


class Peers:
    """What this process knows about the others."""

    def __init__(self) -> None:
        self.are_known = False
        """Whether another process has served connections while this one did. It may be
        about to return, for example if both are restarted."""
        self._is_leaving = False

    async def until_ready(self, count: int, moment: float) -> None:
        """Wait until another process has room for connections.

        Returns soon if this process is alone or cut off from the others.

        Args:
            count: the number of connections.
            moment: when to stop waiting, by the monotonic clock.
        """
        # A busy peer may have answered the introduction too late.
        is_asked = self.are_known or (not self._is_leaving and _may_have_peers())
        self._is_leaving = True
        while is_asked and monotonic() < moment:
            if get_hub().is_unreachable or await self.ask(count):
                return
            is_asked = self.are_known

    async def ask(self, count: int) -> bool:
        """Return whether a peer has room for so many more connections.

        Takes :data:`.survey.GATHER_SECONDS`. If the layer fails, the answer is yes.
        """
        asker = get_hub().subscriptions.channel
        try:
            answers = await survey.aask({"type": ASKED, "asker": asker, "count": count})
        except ServiceUnavailable:
            return True
        self.are_known |= bool(answers)
        return any(answer["is_ready"] for answer in answers.values())


_by_loop = PerLoop(Peers)


def peers() -> Peers:
    """Return the peers of the running event loop's hub."""
    return _by_loop.get()


def forget() -> None:
    """Forget them: they are the parent process's."""
    _by_loop.clear()


def introduce() -> None:
    """Tell the other processes that this one serves connections; does not wait."""
    if _may_have_peers():
        get_hub().tasks.spawn(_introduce())


async def answer(hub: Hub, question: Mapping[str, Any]) -> None:
    """Reply to a peer, if this process serves connections, too."""
    if question["asker"] == hub.subscriptions.channel:
        return
    peers().are_known = True
    if hub.is_serving:
        is_ready = not hub.is_unreachable and connections.have_room_for(
            question["count"]
        )
        await survey.reply(question, is_ready=is_ready)


def _may_have_peers() -> bool:
    return not isinstance(get_hub().layer, InMemoryChannelLayer)


async def _introduce() -> None:
    await peers().ask(0)
