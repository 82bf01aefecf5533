"""Every example of docs/wire-websocket.md, replayed."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from sync_streams import operations
from sync_streams.connections.close_codes import CloseCode
from sync_streams.tokens import CONTENT_TYPE
from sync_streams.websocket.protocol import SUBPROTOCOL, JsonEncoder
from tests import settings as site
from tests.asgi import application

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-websocket.md"
BLOCK = re.compile(r"^```websocket(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"<[a-z0-9 ]+>")
TIMEOUT_SECONDS = 5


def make_token(ttl: int = 3600) -> str:
    claims = {
        "iss": site.API_KEY_SID,
        "sub": site.ACCOUNT_SID,
        "exp": int(time.time()) + ttl,
        "grants": {"identity": "alice", "data_sync": {"service_sid": "default"}},
    }
    return jwt.encode(claims, site.API_KEY_SECRET, headers={"cty": CONTENT_TYPE})


def turns(block: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a mark and the frames after it; frames of the server go together."""
    answers: list[str] = []
    for line in block.splitlines():
        if line.startswith("< "):
            answers.append(line[2:])
            continue
        if answers:
            yield "<", answers
            answers = []
        yield (">", [line[2:]]) if line.startswith("> ") else ("", [line])
    if answers:
        yield "<", answers


class Replay:
    """One reading of the document."""

    def __init__(self) -> None:
        self.values = {
            "<token>": make_token(),
            "<token of 2 minutes>": make_token(ttl=120),
            "<expired token>": make_token(ttl=-10),
        }
        self.socket: WebsocketCommunicator

    async def connect(self) -> None:
        self.socket = WebsocketCommunicator(
            application, "/v1/websocket", subprotocols=[SUBPROTOCOL]
        )
        assert await self.socket.connect() == (True, SUBPROTOCOL)

    def fill(self, text: str) -> str:
        return NAME.sub(lambda name: self.values[name[0]], text)

    def match(self, expected: Any, actual: Any) -> None:
        """Compare two JSON values; a new name takes the value that stands there."""
        if isinstance(expected, dict):
            assert expected.keys() == actual.keys()
            for key, value in expected.items():
                self.match(value, actual[key])
        elif isinstance(expected, str) and NAME.fullmatch(expected):
            assert self.values.setdefault(expected, actual) == actual
        else:
            assert expected == actual

    async def receive(self, lines: list[str]) -> None:
        """Match as many frames of the server, which come in no promised order."""
        received = [await self._receive_one() for _ in lines]
        for expected, actual in zip(
            sorted(map(json.loads, lines), key=_by_type),
            sorted(received, key=_by_type),
            strict=True,
        ):
            self.match(expected, actual)

    async def _receive_one(self) -> Any:
        event = await self.socket.receive_output(TIMEOUT_SECONDS)
        assert event["type"] == "websocket.send"
        return json.loads(event["text"])

    async def operate(self, line: str) -> None:
        sid = self.values["<stream>"]
        if self.fill(line) == f"REST removes {sid}":
            await self._call(operations.remove_stream, sid)
            return
        publishes = re.fullmatch(rf"REST publishes (.*) to {sid}", self.fill(line))
        assert publishes, line
        await self._call(operations.publish, sid, json.loads(publishes[1]))

    async def _call(self, operation: Any, *arguments: Any) -> None:
        get_service = sync_to_async(operations.get_service)
        service = await get_service(site.ACCOUNT_SID, "default")
        await sync_to_async(partial(operation, service, *arguments))()

    async def turn(self, mark: str, lines: list[str]) -> None:
        if mark == "<":
            await self.receive(lines)
        elif mark == ">":
            await self.socket.send_to(text_data=self.fill(lines[0]))
        elif lines == ["closed"]:
            event = await self.socket.receive_output(TIMEOUT_SECONDS)
            assert event["type"] == "websocket.close"
        else:
            await self.operate(lines[0])


def _by_type(frame: dict[str, Any]) -> str:
    return str(frame["type"])


@pytest.mark.django_db(transaction=True)
async def test_every_example_is_what_the_server_speaks(settings: Settings) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert len(blocks) >= 10
    replay = Replay()
    await replay.connect()

    for info, block in blocks:
        if info.strip() == "gap":
            continue
        if "keep-alive" in info:
            settings.SYNC_STREAMS = {**site.SYNC_STREAMS, "KEEPALIVE_SECONDS": 0.1}
        if info:
            await replay.socket.disconnect()
            await replay.connect()
        for mark, lines in turns(block):
            await replay.turn(mark, lines)
    await replay.socket.disconnect()


def test_the_example_of_a_gap_is_what_the_server_writes() -> None:
    examples = [
        block for info, block in BLOCK.findall(DOCUMENT.read_text()) if "gap" in info
    ]

    gaps = [JsonEncoder().gap("<stream>", dropped) for dropped in (7, None)]
    assert examples == [f"< {gap.event['text']}\n" for gap in gaps]


@pytest.mark.parametrize("code", CloseCode, ids=lambda code: code.reason)
def test_the_table_of_close_codes_has_every_code(code: CloseCode) -> None:
    answer = "yes" if code.may_reconnect else "no"

    assert f"| {code.value} | {code.reason} | {answer}" in DOCUMENT.read_text()
