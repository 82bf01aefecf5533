"""Subscriptions of this process, by Stream.

The process joins a Stream's group with its first local subscription and leaves it soon
after the last.
"""

from collections.abc import Callable
from heapq import nlargest
from operator import itemgetter

from channels.layers import BaseChannelLayer

from sync_streams.errors import ServiceUnavailable

from .cluster.backpressure import backpressure
from .cluster.broadcast import log_failure, unavailable
from .cluster.servers import server_of
from .events import stream_group
from .outbox.outbox import Outbox
from .tasks import Tasks
from .topic import Topic


class Subscriptions:
    """Which connections of this process are subscribed to which Streams."""

    def __init__(
        self, layer: BaseChannelLayer, *, on_expired: Callable[[str], None]
    ) -> None:
        """Create an empty registry.

        Args:
            layer: the channel layer with the Streams' groups.
            on_expired: called with the SID of a Stream that has expired.
        """
        self._layer, self._on_expired = layer, on_expired
        self.channel = ""
        """Name of the process's channel, once it is open."""
        self.topics: dict[str, Topic] = {}
        """Streams with subscribers now or a moment ago, by SID."""
        self.tasks = Tasks()

    async def subscribe(
        self, outbox: Outbox, stream_sid: str, expires_at: float | None
    ) -> None:
        """Deliver a Stream to a connection, starting before this returns.

        If this fails, a subscription that the connection already had remains.

        Args:
            outbox: the connection's outbound side.
            stream_sid: the Stream.
            expires_at: when the Stream expires, in seconds since 1970.

        Raises:
            ServiceUnavailable: 20503, the layer does not respond, or its events do not
                reach this process.
        """
        if not self._is_reachable(stream_sid):
            raise ServiceUnavailable
        # Topic first, group second: a leave in between sees a member and keeps the
        # topic, and nothing published after the confirmation can be missed.
        topic = self.topics.setdefault(stream_sid, Topic(stream_sid))
        is_new = stream_sid not in outbox.streams
        self._add(topic, outbox, expires_at)
        try:
            await topic.join(self._layer, self.channel)
        except Exception as error:
            if is_new:
                self.unsubscribe(outbox, stream_sid)
            raise unavailable(error) from error

    def subscribe_now(
        self, outbox: Outbox, stream_sid: str, expires_at: float | None
    ) -> bool:
        """Deliver a Stream to a connection, if this process is already in its group.

        Returns:
            Whether it is; if not, nothing was done.
        """
        topic = self.topics.get(stream_sid)
        if topic is None or not topic.is_settled or not self._is_reachable(stream_sid):
            return False
        self._add(topic, outbox, expires_at)
        return True

    def _add(self, topic: Topic, outbox: Outbox, expires_at: float | None) -> None:
        topic.add(outbox)
        outbox.streams.add(topic.stream_sid)
        self.expire_at(topic.stream_sid, expires_at)

    def _is_reachable(self, stream_sid: str) -> bool:
        server = server_of(self._layer, stream_group(stream_sid))
        return server not in backpressure().unreachable

    def expire_at(
        self, stream_sid: str, moment: float | None, *, is_news: bool = False
    ) -> None:
        """Schedule the Stream's expiry, when its subscribers here are told.

        Args:
            stream_sid: the Stream.
            moment: when it expires, in seconds since 1970; ``None``: never.
            is_news: it comes from an event, which overrides what was fetched.
        """
        topic = self.topics.get(stream_sid)
        if topic is not None:
            topic.expire_at(
                moment, lambda: self._on_expired(stream_sid), is_news=is_news
            )

    def unsubscribe(self, outbox: Outbox, stream_sid: str) -> None:
        """Stop delivering a Stream to a connection, immediately."""
        outbox.forget(stream_sid)
        topic = self.topics.get(stream_sid)
        if topic is not None and topic.discard(outbox):
            topic.leave_soon(lambda: self.tasks.spawn(self._leave(topic)))

    def forget(self, outbox: Outbox) -> None:
        """Stop delivering anything to a connection."""
        for stream_sid in tuple(outbox.streams):
            self.unsubscribe(outbox, stream_sid)

    @property
    def total(self) -> int:
        """Number of subscriptions of this process's connections."""
        return sum(topic.size for topic in self.topics.values())

    @property
    def subscribed_streams(self) -> int:
        """Number of Streams with subscribers here."""
        return sum(bool(topic.members) for topic in self.topics.values())

    def count(self, stream_sid: str) -> int:
        """Return the number of this process's connections subscribed to a Stream."""
        topic = self.topics.get(stream_sid)
        return topic.count if topic else 0

    def busiest(self, limit: int) -> dict[str, int]:
        """Return the Streams with the most subscribers here, and their numbers."""
        counts = {sid: topic.count for sid, topic in self.topics.items() if topic.count}
        return dict(nlargest(limit, counts.items(), key=itemgetter(1)))

    async def _leave(self, topic: Topic) -> None:
        try:
            is_empty = await topic.leave(self._layer, self.channel)
        except Exception as error:
            # Events that still arrive find no topic and are dropped.
            log_failure(error)
            is_empty = not topic.members
        if is_empty and self.topics.get(topic.stream_sid) is topic:
            topic.forget_expiry()
            del self.topics[topic.stream_sid]
