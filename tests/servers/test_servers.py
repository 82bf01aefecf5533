"""Every supported server: Messages arrive, and clients are told when it stops."""

import inspect
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.documents import code_block
from tests.faults.rig import new_token
from tests.servers import worker
from tests.servers.commands import COMMANDS, WAIT_SECONDS, serving

RETRIEVED = "asyncio/streams.py"
"""File of Python 3.11 that prints a traceback of its own for a task that Hypercorn has
cancelled."""


def ask(socket: ClientConnection, type_: str, **fields: object) -> dict[str, Any]:
    socket.send(json.dumps({"type": type_, "id": 1, **fields}))
    return receive(socket)


def receive(socket: ClientConnection) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(socket.recv(WAIT_SECONDS))
        if frame["type"] != "ping":
            return frame


TELLING = [
    name for name in COMMANDS if name != "hypercorn" or sys.version_info < (3, 12)
]
"""Since Python 3.12, Hypercorn's workers wait for their clients to leave first."""


@pytest.mark.parametrize("name", TELLING)
def test_server_delivers_and_tells_its_clients_when_to_reconnect(
    name: str, tmp_path: Path
) -> None:
    with serving(name, tmp_path) as server, server.connect() as socket:
        assert ask(socket, "connect", token=new_token("alice"))["type"] == "connected"
        assert ask(socket, "subscribe", stream="demo")["type"] == "subscribed"
        sid = server.publish({"n": 1})
        assert receive(socket)["message"]["sid"] == sid

        server.terminate()

        closing = receive(socket)
        assert (closing["type"], closing["code"]) == ("closing", 4008)
        assert 0 <= closing["reconnect_after"] <= 5
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
        server.end()
        told = server.output
    assert "Traceback" not in told or RETRIEVED in told
    assert "sync_streams/" not in told


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn with uvloop"])
def test_second_signal_is_for_the_server_at_once(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path, drain_seconds="3600") as server:
        with server.connect() as socket:
            assert (
                ask(socket, "connect", token=new_token("alice"))["type"] == "connected"
            )
            server.terminate()
            # It continues to serve connections that it has not closed yet.
            assert ask(socket, "subscribe", stream="demo")["type"] == "subscribed"
            server.terminate()

            with pytest.raises(ConnectionClosed):
                receive(socket)

        assert server.end() == -signal.SIGTERM


def test_worker_for_gunicorn_is_the_documented_one() -> None:
    documented = code_block("docs/deployment.md", "python", "class Worker(")

    assert inspect.getsource(worker.Worker) in documented
