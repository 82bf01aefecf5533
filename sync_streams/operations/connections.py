"""Operations on the connections of all processes, for operators."""

from typing import Unpack

from sync_streams.delivery.cluster import commands, listing, survey
from sync_streams.delivery.cluster.listing import Connections, Wanted
from sync_streams.models import Service


def disconnect_identity(
    service: Service, identity: str, *, connection_id: str = ""
) -> int:
    """Close every connection of an identity to a Service, in all processes.

    The clients are told not to reconnect by themselves (close code 4007). The
    identity's access tokens remain valid until they expire: stop issuing new ones
    first.

    Args:
        service: the Service.
        identity: the identity in the access tokens.
        connection_id: close only this one; ids are in :func:`list_connections`.

    Returns:
        The number of connections closed. A process that takes longer than two seconds
        to reply (a quarter of one, if it has not replied before) closes its
        connections, too, but is not counted.

    Raises:
        ServiceUnavailable: 20503, the command was not sent.
    """
    command: commands.DisconnectCommand = {
        "type": commands.DISCONNECT,
        "service_sid": service.sid,
        "identity": identity,
    }
    if connection_id:
        command["connection_id"] = connection_id
    answers = survey.ask(commands.signed(command), is_patient=True)
    return sum(answer["count"] for answer in answers.values())


def list_connections(**wanted: Unpack[Wanted]) -> Connections:
    """Return the newest connections of all processes that reply, at most 200.

    Takes a quarter of a second.

    Raises:
        ServiceUnavailable: 20503, the question was not sent.
    """
    return listing.ask(wanted)


def drain_process(process: str) -> None:
    """Drain one process: it closes its connections over ``drain_seconds``.

    It accepts no new ones until it is restarted. The clients reconnect by themselves to
    another process.

    Args:
        process: ``host:process id``, as in the stats.

    Raises:
        ServiceUnavailable: 20503, the command was not sent.
    """
    commands.send({"type": commands.DRAIN, "process": process})
