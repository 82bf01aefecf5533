"""``manage.py issue_sync_token IDENTITY``: print an access token."""

import asyncio
from typing import Any

from django.core.management.base import CommandError, CommandParser

from sync_streams.management.destination import Destination, DestinationCommand
from sync_streams.management.sockets import Disconnected, ask, open_socket
from sync_streams.tokens import issue_token


class Command(DestinationCommand):
    """Prints a token, and nothing else on standard output."""

    help = "Print an access token; with --url, only if that server accepts it."
    examples = """\
  manage.py issue_sync_token alice
  manage.py issue_sync_token alice --ttl 600 --read-only
  manage.py issue_sync_token alice --url https://sync.example
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("identity", help="identity of the token")
        parser.add_argument(
            "--ttl",
            type=int,
            default=3600,
            metavar="SECONDS",
            help="seconds until it expires, at most 86400 (default: %(default)s)",
        )
        parser.add_argument(
            "--read-only",
            action="store_true",
            help="allow subscribing, but not changing or publishing",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        destination = Destination.read(options)
        try:
            token = issue_token(
                options["identity"],
                destination.service,
                account_sid=destination.account,
                ttl=options["ttl"],
                is_read_only=options["read_only"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        if destination.url:
            asyncio.run(_present(destination, token))
        self.stdout.write(token)


async def _present(destination: Destination, token: str) -> None:
    try:
        async with open_socket(destination) as socket:
            await ask(socket, "connect", token=token)
    except Disconnected as error:
        raise CommandError(str(error)) from error
