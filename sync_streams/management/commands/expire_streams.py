"""``manage.py expire_streams``: remove lapsed Streams, for sites without a server.

There is no ``--url``: a server, here or elsewhere, does it by itself every few seconds,
and REST, like Twilio's, has no call that would ask it to.
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
    """Removes lapsed Streams, once or for ever."""

    help = "Remove expired Streams and tell webhooks; servers do it by themselves."
    examples = """\
  manage.py expire_streams
  manage.py expire_streams --interval 60
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval",
            type=float,
            metavar="SECONDS",
            help="go on, with about so long between two sweeps, until Ctrl-C",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        interval = options["interval"]
        if interval is not None and not 0 < interval < inf:
            raise CommandError("--interval is a number of seconds above 0.")
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
            # Away for a moment, as a rule: the next sweep does it all.
            self.stderr.write(f"{error}")
