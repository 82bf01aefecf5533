"""``docs/architecture.md`` names the modules that exist, and those a Message passes."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import sync_streams
from sync_streams.models import Stream
from sync_streams.uvicorn import FramePathProtocol
from tests.asgi import application
from tests.clients import twilsock
from tests.clients.json_socket import json_socket
from tests.clients.rest import LocalSite
from tests.clients.wires import NetworkWire
from tests.documents import ROOT
from tests.overrides import sync_settings
from tests.streams import uncached_stream
from tests.uvicorn_server import serving

PACKAGE = Path(sync_streams.__file__).parent

STARTS = "FramePathProtocol.data_received", "Hub._deliver"
"""What the event loop calls when a publish frame has arrived, and when an event has."""


def section(start: str, end: str) -> str:
    text = (ROOT / "docs/architecture.md").read_text()
    return text[text.index(start) : text.index(end)]


def test_every_module_is_in_the_table_of_levels() -> None:
    table = section("## Levels", "## The path of a Message")
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")]
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`(\w+/?)`", row)}

    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")} - {"migrations"}

    assert named == modules | folders | {"management"}


def test_every_module_that_is_named_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`(\w+(?:/\w+)+)/?`", text))

    def exists(name: str) -> bool:
        found = [folder / name for folder in (PACKAGE, ROOT)]
        return any(one.exists() or one.with_suffix(".py").exists() for one in found)

    assert named
    assert not [name for name in named if not exists(name)]


@pytest.fixture
async def news(transactional_db: None) -> AsyncIterator[Stream]:
    with sync_settings(probe_seconds=600):
        async with uncached_stream() as stream:
            yield stream


@pytest.fixture
async def port(news: Stream) -> AsyncIterator[int]:
    async with serving(application, ws=FramePathProtocol) as port:
        yield port


async def test_a_message_on_a_json_socket_passes_the_modules_of_the_table(
    port: int,
) -> None:
    async with json_socket(port) as subscriber, json_socket(port) as publisher:
        await subscriber.ask("subscribe", stream="news")
        for n in range(2):
            await publisher.ask("publish", stream="news", data={"n": n})
            await subscriber.receive()
        with passed_modules() as passed:
            await publisher.ask("publish", stream="news", data={"n": 2})
            await subscriber.receive()

    assert passed == in_table("JSON socket")


async def test_a_message_of_an_sdk_passes_the_modules_of_the_table(
    port: int, news: Stream
) -> None:
    url = LocalSite(port).base_url.replace("http", "ws", 1) + twilsock.PATH
    async with (
        twilsock.connected(wire=NetworkWire(url, compression=None)) as subscriber,
        twilsock.connected(wire=NetworkWire(url, compression=None)) as publisher,
    ):
        await subscriber.change("establish", news.sid)
        for n in range(2):
            await publisher.publish(news.sid, n=n)
            await subscriber.receive()
        with passed_modules() as passed:
            await publisher.publish(news.sid, n=2)
            await subscriber.receive()

    assert passed == in_table("Twilsock")


def in_table(protocol: str) -> set[str]:
    """Return the modules of both protocols, and those of one."""
    table = section("### Where a frame arrives", "### The publish path")
    head, _, *rows = [row.split("|") for row in table.splitlines() if row[:1] == "|"]
    columns = head.index(" modules "), head.index(f" {protocol} ")
    cells = [row[column] for row in rows for column in columns]
    return {name for cell in cells for name in re.findall(r"`([\w/]+)`", cell)}


@contextmanager
def passed_modules() -> Iterator[set[str]]:
    """Collect the modules of the package whose functions a Message calls."""
    passed: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        stack = list(ours(frame)) if event == "call" else []
        if stack and stack[0] is frame and stack[-1].f_code.co_qualname in STARTS:
            path = Path(frame.f_code.co_filename)
            passed.add(path.relative_to(PACKAGE).with_suffix("").as_posix())

    sys.setprofile(note)
    try:
        yield passed
    finally:
        sys.setprofile(None)


def ours(frame: FrameType | None) -> Iterator[FrameType]:
    """Return those of the frame and its callers that run code of the package."""
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
            yield frame
        frame = frame.f_back
