"""``manage.py sync_publish STREAM DATA``: publish a Message."""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import quote

from django.core.management.base import CommandError, CommandParser

from sync_streams.errors import InvalidJSON
from sync_streams.management.destination import Destination, DestinationCommand
from sync_streams.operations.data import read_data
from sync_streams.publishing import publish
from sync_streams.webhooks import sender


class Command(DestinationCommand):
    """Publishes a Message and prints its SID."""

    help = "Publish a Message to a Stream and print its SID."
    examples = """\
  manage.py sync_publish orders '{"item": "tea"}'
  echo '{"item": "tea"}' | manage.py sync_publish orders -
  manage.py sync_publish orders '{"item": "tea"}' --url https://sync.example
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="SID or unique name of the Stream")
        parser.add_argument("data", help="a JSON object: '{\"x\": 1}'; - reads stdin")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        destination = Destination.read(options)
        text = sys.stdin.read() if options["data"] == "-" else options["data"]
        _check_json(text)
        destination.check_shared()
        if destination.url:
            sid = asyncio.run(_publish_there(destination, options["stream"], text))
        else:
            sid = _publish_here(destination, options["stream"], text)
        self.stdout.write(sid)


def _check_json(text: str) -> None:
    # A person typing JSON wants to know where the error is.
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        code = InvalidJSON.code
        raise CommandError(f"{code}: not valid JSON: {error.msg} ({where}).") from None


async def _publish_there(destination: Destination, stream: str, text: str) -> str:
    path = f"/Streams/{quote(stream, safe='')}/Messages"
    message = await destination.post(path, Data=text)
    return str(message["sid"])


def _publish_here(destination: Destination, stream: str, text: str) -> str:
    message = publish(
        stream,
        read_data(text),
        service=destination.service,
        account_sid=destination.account_sid,
    )
    sender.flush()
    return message.sid
