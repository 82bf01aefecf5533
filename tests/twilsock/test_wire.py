"""Every example of docs/wire-twilsock.md, replayed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django import Settings

from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.registry import connections
from sync_streams.twilsock import frames
from tests import settings as site
from tests.clients.accounts import ACCOUNT
from tests.clients.twilsock import PATH
from tests.replay import Replay

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-twilsock.md"
BLOCK = re.compile(r"^```twilsock(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def steps(block: str) -> Iterator[tuple[str, str, str]]:
    """Yield mark, line and payload; an indented line belongs to the previous one."""
    for entry in re.split(r"\n(?! )", block.strip()):
        line, _, payload = entry.partition("\n  ")
        yield line[0], line.removeprefix(line[0]).strip(), payload


class TwilsockReplay(Replay):
    """One reading of the document."""

    async def send(self, line: str, payload: str) -> None:
        line = self.fill(line)
        data = line.encode()
        if line.startswith("{"):
            data = frames.encode(json.loads(line), self.fill(payload).encode())
        await self.wire.send(data)

    async def receive(self, line: str, payload: str) -> None:
        frame = frames.decode(await self.wire.receive())
        sizes = {"payload_size", "payload_type"}
        header = {k: v for k, v in frame.header.items() if k not in sizes}
        self.match(json.loads(line), header)
        if payload:
            self.match(json.loads(payload), json.loads(frame.payload))
        else:
            assert frame.payload == b""

    async def operate(self, line: str) -> None:
        if line != "the server leaves":
            await super().operate(line)
            return
        herd = {**site.SYNC_STREAMS, "MAX_CONNECTS_PER_SECOND": 1}
        with override_settings(SYNC_STREAMS=herd):
            connections.close_all(CloseCode.GOING_AWAY, within=0.01)

    async def step(self, mark: str, line: str, payload: str) -> None:
        if mark == ">":
            await self.send(line, payload)
        elif mark == "<":
            await self.receive(line, payload)
        elif mark + line == "closed":
            await self.closed()
        else:
            await self.operate(f"{mark}{line}")


@pytest.mark.django_db(transaction=True)
async def test_every_example_matches_the_server(
    settings: Settings,
) -> None:
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert len(blocks) >= 8
    replay = TwilsockReplay(
        PATH,
        token=ACCOUNT.token(),
        token_of_2_minutes=ACCOUNT.token(ttl=120),
        token_of_bob=ACCOUNT.token("bob"),
        expired_token=ACCOUNT.token(ttl=-10),
    )
    await replay.connect()

    for info, block in blocks:
        if "keep-alive" in info:
            settings.SYNC_STREAMS = {**site.SYNC_STREAMS, "KEEPALIVE_SECONDS": 1}
        if "new connection" in info:
            await replay.connect()
        for mark, line, payload in steps(block):
            await replay.step(mark, line, payload)
    await replay.wire.close()
