"""Every example of docs/wire-websocket.md, replayed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from sync_streams.connections.close_codes import CloseCode
from sync_streams.websocket.protocol import SUBPROTOCOL, JsonEncoder
from tests import settings as site
from tests.clients.accounts import ACCOUNT
from tests.replay import Replay

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-websocket.md"
BLOCK = re.compile(r"^```websocket(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


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


class SocketReplay(Replay):
    """One reading of the document."""

    async def receive(self, lines: list[str]) -> None:
        """Match as many frames of the server, in any order."""
        received = [json.loads(await self.wire.receive()) for _ in lines]
        for expected, actual in zip(
            sorted(map(json.loads, lines), key=_by_type),
            sorted(received, key=_by_type),
            strict=True,
        ):
            self.match(expected, actual)

    async def turn(self, mark: str, lines: list[str]) -> None:
        if mark == "<":
            await self.receive(lines)
        elif mark == ">":
            await self.wire.send(self.fill(lines[0]))
        elif lines == ["closed"]:
            await self.closed()
        else:
            await self.operate(lines[0])


def _by_type(frame: dict[str, Any]) -> str:
    return str(frame["type"])


@pytest.mark.django_db(transaction=True)
async def test_every_example_matches_the_server(settings: Settings) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert len(blocks) >= 10
    replay = SocketReplay(
        "/v1/websocket",
        SUBPROTOCOL,
        token=ACCOUNT.token(),
        token_of_2_minutes=ACCOUNT.token(ttl=120),
        expired_token=ACCOUNT.token(ttl=-10),
    )
    await replay.connect()

    for info, block in blocks:
        if info.strip() == "gap":
            continue
        if "keep-alive" in info:
            settings.SYNC_STREAMS = {**site.SYNC_STREAMS, "KEEPALIVE_SECONDS": 1}
        if info:
            await replay.connect()
        for mark, lines in turns(block):
            await replay.turn(mark, lines)
    await replay.wire.close()


def test_the_example_of_a_gap_matches_the_server() -> None:
    examples = [
        block for info, block in BLOCK.findall(DOCUMENT.read_text()) if "gap" in info
    ]

    gaps = [JsonEncoder().gap("<stream>", dropped) for dropped in (7, None)]
    assert examples == [f"< {gap.event['text']}\n" for gap in gaps]


@pytest.mark.parametrize("code", CloseCode, ids=lambda code: code.reason)
def test_the_table_of_close_codes_has_every_code(code: CloseCode) -> None:
    answer = "yes" if code.may_reconnect else "no"

    assert f"| {code.value} | {code.reason} | {answer}" in DOCUMENT.read_text()
