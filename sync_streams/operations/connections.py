"""Operations on the connections of all processes: an operator ends them."""

from sync_streams.delivery.cluster import commands
from sync_streams.models import Service


def disconnect_identity(service: Service, identity: str) -> None:
    """End every connection of an identity to a Service, in all processes.

    They are told not to come back by themselves (close code 4007). Access tokens that
    the identity holds stay good until they lapse: give out no new ones first.

    Raises:
        ServiceUnavailable: 20503, nobody was told.
    """
    command: commands.DisconnectCommand = {
        "type": commands.DISCONNECT,
        "service_sid": service.sid,
        "identity": identity,
    }
    commands.send(command)


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
