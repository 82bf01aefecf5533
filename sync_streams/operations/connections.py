"""Operations on the connections of all processes: an operator ends them."""

from typing import Unpack

from sync_streams.delivery.cluster import commands, listing, survey
from sync_streams.delivery.cluster.listing import Connections, Wanted
from sync_streams.models import Service


def disconnect_identity(
    service: Service, identity: str, *, connection_id: str = ""
) -> int:
    """End every connection of an identity to a Service, in all processes.

    They are told not to come back by themselves (close code 4007). Access tokens that
    the identity holds stay good until they expire: give out no new ones first.

    Args:
        service: the Service.
        identity: as the access tokens spell it.
        connection_id: end only this one, as :func:`list_connections` names it.

    Returns:
        How many connections were ended. A process that takes longer than a quarter of
        a second to say so ends its own all the same and is not counted.

    Raises:
        ServiceUnavailable: 20503, nobody was told.
    """
    command: commands.DisconnectCommand = {
        "type": commands.DISCONNECT,
        "service_sid": service.sid,
        "identity": identity,
    }
    if connection_id:
        command["connection_id"] = connection_id
    return sum(
        answer["count"] for answer in survey.ask(commands.signed(command)).values()
    )


def list_connections(**wanted: Unpack[Wanted]) -> Connections:
    """Return the newest connections of all processes that answer, 200 at most.

    Takes a quarter of a second.

    Raises:
        ServiceUnavailable: 20503, nobody was asked.
    """
    return listing.ask(wanted)


def drain_process(process: str) -> None:
    """Let one process send its connections away, spread over ``drain_seconds``.

    It takes no new ones until it is restarted. The clients come back by themselves,
    to another process.

    Args:
        process: ``host:process id``, as occupancy names it.

    Raises:
        ServiceUnavailable: 20503, nobody was told.
    """
    commands.send({"type": commands.DRAIN, "process": process})
