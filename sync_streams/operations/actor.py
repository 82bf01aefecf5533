"""Actor: who did something, and over which connection."""

from dataclasses import dataclass

from sync_streams.models import SYSTEM


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and over which connection."""

    identity: str = SYSTEM
    """Identity of the access token; ``system`` over REST."""

    connection_id: str | None = None
    """The socket connection, if any."""

    is_read_only: bool = False
    """Whether the access token allows subscribing only."""

    is_observer: bool = False
    """Whether it is an operator who is watching; ``AUTHORIZE`` is not called."""

    is_expiry: bool = False
    """Whether the cause was that the Stream's TTL expired."""

    transport: str = "python"
    """The transport's name in metrics; ``python`` for the host project's own code and
    the admin."""

    @property
    def is_trusted(self) -> bool:
        """Whether it did not use an access token, regardless of its identity."""
        return self.connection_id is None


SYSTEM_ACTOR = Actor()

REST_ACTOR = Actor(transport="rest")

EXPIRY_ACTOR = Actor(is_expiry=True)
