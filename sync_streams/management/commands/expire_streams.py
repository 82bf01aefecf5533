"""``manage.py expire_streams``: remove expired Streams, for sites without a server.

There is no ``--url``: any running server does this by itself every few seconds, and
the REST API, like Twilio's, has no call for it.
"""

import time
from contextlib import suppress
from math import inf
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, close_old_connections

from sync_streams import operations
from sync_streams.management.terminal import TerminalCommand
from sync_streams.operations.sweeper import pause
from sync_streams.webhooks import sender


class Command(TerminalCommand):
    """Removes expired Streams, once or repeatedly."""

    help = "Remove expired Streams and send their webhooks, as running servers do."
    examples = """\
  manage.py expire_streams
  manage.py expire_streams --interval 60
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval",
            type=float,
            metavar="SECONDS",
            help="repeat about this often until Ctrl-C",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        interval = options["interval"]
        if interval is not None and not 0 < interval < inf:
            raise CommandError("--interval must be a number of seconds above 0.")
        self._sweep()
        with suppress(KeyboardInterrupt):
            while interval is not None:
                time.sleep(pause(interval))
                self._sweep_again()
        sender.flush()

    def _sweep(self) -> None:
        self.stdout.write(f"Removed {operations.expire_streams()} Streams.")
        self.stdout.flush()

    def _sweep_again(self) -> None:
        close_old_connections()
        try:
            self._sweep()
        except DatabaseError as error:
            # Usually a brief outage; the next sweep catches up.
            self.stderr.write(f"{error}")
