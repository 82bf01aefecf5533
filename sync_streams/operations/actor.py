"""Actor: who did something, and over which connection."""

from dataclasses import dataclass

from sync_streams.models import SYSTEM


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and over which connection."""

    identity: str = SYSTEM
    """Identity of the access token; ``system`` over REST."""

    connection_id: str | None = None
    """The socket connection, if there was one; the SDK front leaves it out."""

    is_read_only: bool = False
    """The access token lets it look and listen, nothing else."""

    is_observer: bool = False
    """The access token is an operator's, who looks on: ``AUTHORIZE`` is not asked."""

    is_expiry: bool = False
    """Whether nobody did it but time."""

    transport: str = "python"
    """What carried it: ``rest``, ``websocket``, ``twilsock``; ``python``: the host
    project's own code, or the admin."""

    @property
    def is_trusted(self) -> bool:
        """Whether it was not the bearer of an access token, whatever its identity."""
        return self.connection_id is None


SYSTEM_ACTOR = Actor()

REST_ACTOR = Actor(transport="rest")

EXPIRY_ACTOR = Actor(is_expiry=True)
