"""Every supported server: Messages arrive, and clients are told when it stops."""

import inspect
import signal
import sys
from pathlib import Path

import pytest

from tests.clients.blocking import BlockingSocket
from tests.clients.wires import ABNORMAL
from tests.documents import code_block
from tests.servers import worker
from tests.servers.commands import COMMANDS, serving

RETRIEVED = "asyncio/streams.py"
"""File of Python 3.11 that prints a traceback of its own for a task that Hypercorn has
cancelled."""


TELLING = [
    name for name in COMMANDS if name != "hypercorn" or sys.version_info < (3, 12)
]
"""Since Python 3.12, Hypercorn's workers wait for their clients to leave first."""


@pytest.mark.parametrize("name", TELLING)
def test_server_delivers_and_tells_its_clients_when_to_reconnect(
    name: str, tmp_path: Path
) -> None:
    with serving(name, tmp_path) as server, BlockingSocket(server) as socket:
        assert socket.ask("subscribe", stream="demo")["type"] == "subscribed"
        sid = server.publish({"n": 1})
        assert socket.receive()["message"]["sid"] == sid

        server.terminate()

        closing = socket.receive()
        assert (closing["type"], closing["code"]) == ("closing", 4008)
        assert 0 <= closing["reconnect_after"] <= 5
        assert socket.closed() in {4008, ABNORMAL}  # Granian just drops it
        server.end()
        told = server.output
    assert "Traceback" not in told or RETRIEVED in told
    assert "sync_streams/" not in told


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn with uvloop"])
def test_second_signal_is_for_the_server_at_once(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path, drain_seconds="3600") as server:
        with BlockingSocket(server) as socket:
            server.terminate()
            # It continues to serve connections that it has not closed yet.
            assert socket.ask("subscribe", stream="demo")["type"] == "subscribed"
            server.terminate()

            assert socket.closed()

        assert server.end() == -signal.SIGTERM


def test_worker_for_gunicorn_is_the_documented_one() -> None:
    documented = code_block("docs/deployment.md", "python", "class Worker(")

    assert inspect.getsource(worker.Worker) in documented
