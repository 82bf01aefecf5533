"""``python -m sync_streams.daphne``, with the options of ``daphne``."""

from daphne.cli import CommandLineInterface

from .server import BoundedServer


class Command(CommandLineInterface):
    """The command ``daphne``, with this server."""

    server_class = BoundedServer


if __name__ == "__main__":
    Command.entrypoint()
