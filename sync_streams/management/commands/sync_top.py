"""``manage.py sync_top``: the busiest Streams across all processes, live."""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from sync_streams.management.destination import check_shared
from sync_streams.management.terminal import TerminalCommand
from sync_streams.top import ORDERS, Row, top

CLEAR = "\x1b[H\x1b[J"
HEAD = "    MSG/S  SUBSCRIBERS  REFUSED/S  DROPPED/S  ACCOUNT · SERVICE · STREAM"


class Command(TerminalCommand):
    """Prints a table repeatedly, or lines of JSON."""

    help = "Show the busiest Streams across all processes, until Ctrl-C."
    examples = """\
  manage.py sync_top
  manage.py sync_top --sort refused
  manage.py sync_top --once --json | jq .streams[0]
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sort",
            choices=ORDERS,
            default="published",
            help="order of the table (default: %(default)s)",
        )
        parser.add_argument(
            "--limit",
            type=int,
            default=20,
            metavar="N",
            help="number of Streams (default: %(default)s)",
        )
        parser.add_argument(
            "--interval",
            type=float,
            default=2.0,
            metavar="SECONDS",
            help="time between tables (default: %(default)s)",
        )
        parser.add_argument("--once", action="store_true", help="print one and exit")
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object per line"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1 or not options["interval"] >= 0:
            raise CommandError("--limit must be at least 1, --interval at least 0.")
        check_shared()
        with suppress(KeyboardInterrupt):
            while True:
                rows = top(options["sort"], limit=options["limit"])
                self._show(rows, as_json=options["json"])
                if options["once"]:
                    return
                time.sleep(options["interval"])

    def _show(self, rows: Iterable[Row], *, as_json: bool) -> None:
        if as_json:
            streams = [asdict(row) for row in rows]
            text = json.dumps({"time": round(time.time(), 3), "streams": streams})
        else:
            lines = [HEAD, *map(self._line, rows)]
            text = (CLEAR if self.stdout.isatty() else "") + "\n".join(lines)
        self.stdout.write(text)
        self.stdout.flush()

    def _line(self, row: Row) -> str:
        name = row.unique_name if self.can_show(row.unique_name) else ""
        whose = row.account_sid, row.service_sid, name or row.stream_sid
        return (
            f"{row.published:9.1f}  {row.subscribers:11,}  {row.refused:9.1f}  "
            f"{row.dropped:9.1f}  {' · '.join(filter(None, whose))}"
        )
