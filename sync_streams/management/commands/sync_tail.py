"""``manage.py sync_tail STREAM``: print a Stream's Messages as they arrive."""

import asyncio
import json
import os
import sys
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from sync_streams.management.destination import Destination, DestinationCommand
from sync_streams.management.subscription import follow
from sync_streams.operations.data import JSONObject


class Command(DestinationCommand):
    """Prints Messages to standard output and everything else to standard error."""

    help = (
        "Print a Stream's Messages as they arrive, until Ctrl-C. An access token in "
        "SYNC_TOKEN is used in place of all other credentials."
    )
    examples = """\
  manage.py sync_tail orders
  manage.py sync_tail orders --url https://sync.example
  manage.py sync_tail orders --json | jq .message.data
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="SID or unique name of the Stream")
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object per line"
        )
        parser.add_argument(
            "--identity",
            default="sync_tail",
            help="identity to subscribe as (default: %(default)s)",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        destination = Destination.read(options)
        destination.check_shared()
        with suppress(KeyboardInterrupt):
            try:
                asyncio.run(self._tail(destination, options))
            except BrokenPipeError:
                # The reader, ``head`` perhaps, has closed the pipe; Python would
                # complain again when it flushes.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    async def _tail(self, destination: Destination, options: dict[str, Any]) -> None:
        stream, identity = options["stream"], options["identity"]
        async with aclosing(follow(destination, stream, identity, self.tell)) as all_:
            async for frame in all_:
                self._print(frame, as_json=options["json"])

    def _print(self, frame: JSONObject, *, as_json: bool) -> None:
        if as_json and frame["type"] in {"message", "gap"}:
            self._write(json.dumps(frame, separators=(",", ":")))
        elif frame["type"] == "message":
            self._write(self._line(frame["message"]))
        elif frame["type"] == "gap":
            dropped = frame["dropped"]
            self.tell(
                "Messages may have been lost on the server's side."
                if dropped is None
                else f"{dropped} Messages were lost: this command read too slowly."
            )

    def _write(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _line(self, message: JSONObject) -> str:
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        data = json.dumps(message["data"], ensure_ascii=False, separators=(",", ":"))
        if not self.can_show(data):
            data = json.dumps(message["data"], separators=(",", ":"))
        return f"{now} {message['sid']} {data}"
