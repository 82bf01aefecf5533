"""What type checkers say of a host project that has installed the wheel."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.js.tools import MODULES
from tests.programs import cannot_have

HOST = """
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from sync_streams.errors import RateLimited, SyncError
from sync_streams.models import Stream
from sync_streams.publishing import apublish, publish, publish_on_commit, try_publish
from sync_streams.sse import event_stream
from sync_streams.testing import Subscriber, capture_published
from sync_streams.tokens import issue_token


def save(order: int) -> str:
    try:
        message = publish("orders", {"id": order}, create=True)
    except RateLimited as error:
        return f"in {error.retry_after} s"
    except SyncError as error:
        body: Mapping[str, object] = error.to_dict()
        return f"{error.code}: {body['message']}"
    publish_on_commit("orders", {"id": order})
    kept = try_publish("orders", {"id": order})
    return message.sid if kept is None else kept.sid


async def asave(order: int) -> str:
    return (await apublish("orders", {"id": order})).sid


async def events(request: HttpRequest) -> HttpResponseBase:
    return await event_stream(request, ["orders", "prices"], is_public=True)


def allow(identity: str, stream: Stream) -> bool:
    return (stream.unique_name or "").startswith(identity)


def token() -> str:
    return issue_token("alice", "default", ttl=60)


async def tested() -> list[Any]:
    with capture_published() as published:
        async with Subscriber("orders", identity="alice") as alice:
            received = await alice.receive()
    return [received, *(each.message.data for each in published)]


publish(1, {})  # wrong: a name is text
publish("orders")  # wrong: no data
try_publish("orders", {}).sid  # wrong: there may be no Message
issue_token("alice")  # wrong: no Service
"""
WRONG = {
    number for number, line in enumerate(HOST.splitlines(), 1) if "# wrong" in line
}
CHECKERS = {
    "mypy": ("--strict", "--python-executable", "venv/bin/python", "host.py"),
    "pyright": ("--pythonpath", "venv/bin/python", "host.py"),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_find_errors_and_nothing_else(
    environment: Path, tmp_path: Path, checker: str
) -> None:
    (tmp_path / "host.py").write_text(HOST)
    (tmp_path / "venv").symlink_to(environment)
    program = [sys.executable, "-m", "mypy"]
    if checker == "pyright":
        program = ["node", str(MODULES / "pyright/index.js")]
        if not (MODULES / "pyright").exists():
            cannot_have("npm's pyright")

    done = subprocess.run(
        [*program, *CHECKERS[checker]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    found = re.findall(r"host\.py:(\d+)\b.* error", done.stdout)
    assert {int(line) for line in found} == WRONG, done.stdout + done.stderr
