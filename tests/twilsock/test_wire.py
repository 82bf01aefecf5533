"""Every example of docs/wire-twilsock.md, replayed."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import override_settings
from pytest_django import Settings

from sync_streams import operations
from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import connections
from sync_streams.twilsock import frames
from tests import settings as site
from tests.asgi import application
from tests.twilsock.session import PATH, make_token

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-twilsock.md"
BLOCK = re.compile(r"^```twilsock(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"<[a-z0-9 ]+>")
TIMEOUT_SECONDS = 5


def steps(block: str) -> Iterator[tuple[str, str, str]]:
    """Yield mark, line and payload: a line that is set in belongs to the one before."""
    for entry in re.split(r"\n(?! )", block.strip()):
        line, _, payload = entry.partition("\n  ")
        yield line[0], line.removeprefix(line[0]).strip(), payload


class Replay:
    """One reading of the document."""

    def __init__(self) -> None:
        self.values = {
            "<token>": make_token(),
            "<token of 2 minutes>": make_token(ttl=120),
            "<token of bob>": make_token("bob"),
            "<expired token>": make_token(ttl=-10),
        }
        self.socket: WebsocketCommunicator

    async def connect(self) -> None:
        self.socket = WebsocketCommunicator(application, PATH)
        await self.socket.connect()

    def fill(self, text: str) -> str:
        return NAME.sub(lambda name: self.values[name[0]], text)

    def match(self, expected: Any, actual: Any) -> None:
        """Compare two JSON values; a new name takes the value that stands there."""
        if isinstance(expected, dict):
            assert expected.keys() == actual.keys()
            for key, value in expected.items():
                self.match(value, actual[key])
        elif isinstance(expected, list):
            assert len(expected) == len(actual)
            for value, other in zip(expected, actual, strict=True):
                self.match(value, other)
        elif isinstance(expected, str) and NAME.fullmatch(expected):
            assert self.values.setdefault(expected, actual) == actual
        else:
            filled = self.fill(expected) if isinstance(expected, str) else expected
            assert filled == actual

    async def send(self, line: str, payload: str) -> None:
        line = self.fill(line)
        data = line.encode()
        if line.startswith("{"):
            data = frames.encode(json.loads(line), self.fill(payload).encode())
        await self.socket.send_to(bytes_data=data)

    async def receive(self, line: str, payload: str) -> None:
        event = await self.socket.receive_output(TIMEOUT_SECONDS)
        assert event["type"] == "websocket.send"
        frame = frames.decode(event["bytes"])
        sizes = {"payload_size", "payload_type"}
        header = {k: v for k, v in frame.header.items() if k not in sizes}
        self.match(json.loads(line), header)
        if payload:
            self.match(json.loads(payload), json.loads(frame.payload))
        else:
            assert frame.payload == b""

    async def operate(self, line: str) -> None:
        get_service = sync_to_async(operations.get_service)
        service = await get_service(site.ACCOUNT_SID, "default")
        line, sid = self.fill(line), self.values["<stream>"]
        if line == "the server leaves":
            herd = {**site.SYNC_STREAMS, "MAX_CONNECTS_PER_SECOND": 1}
            with override_settings(SYNC_STREAMS=herd):
                connections.close_all(CloseCode.GOING_AWAY, within=0.01)
        elif line == f"REST removes {sid}":
            await sync_to_async(operations.remove_stream)(service, sid)
        else:
            publishes = re.fullmatch(rf"REST publishes (.*) to {sid}", line)
            assert publishes
            data = json.loads(publishes[1])
            await sync_to_async(partial(operations.publish, service, sid, data))()

    async def step(self, mark: str, line: str, payload: str) -> None:
        if mark == ">":
            await self.send(line, payload)
        elif mark == "<":
            await self.receive(line, payload)
        elif mark + line == "closed":
            event = await self.socket.receive_output(TIMEOUT_SECONDS)
            assert event["type"] == "websocket.close"
        else:
            await self.operate(f"{mark}{line}")


@pytest.mark.django_db(transaction=True)
async def test_every_example_is_what_the_server_speaks(
    settings: Settings,
) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert len(blocks) >= 8
    replay = Replay()
    await replay.connect()

    for info, block in blocks:
        if "keep-alive" in info:
            settings.SYNC_STREAMS = {**site.SYNC_STREAMS, "KEEPALIVE_SECONDS": 0.1}
        if "new connection" in info:
            await replay.socket.disconnect()
            await replay.connect()
        for mark, line, payload in steps(block):
            await replay.step(mark, line, payload)
    await replay.socket.disconnect()
