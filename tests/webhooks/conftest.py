"""Fixtures for webhooks: a receiver process, and a Service that points to it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from queue import Empty, Queue
from secrets import token_hex
from threading import Thread
from typing import Any

import pytest
import requests

from sync_streams import operations
from sync_streams.models import Service
from sync_streams.webhooks import sender
from sync_streams.webhooks.outcomes import Outcomes, outcomes
from tests.overrides import Override, overrides
from tests.programs import ROOT, Stoppable
from tests.settings import ACCOUNT_SID, AUTH_TOKEN

WAIT_SECONDS = 60


class Receiver(Stoppable):
    """The process, and what it has received."""

    def __init__(self, auth_token: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.webhooks.receiver", auth_token],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self._lines.get(timeout=WAIT_SECONDS).split()[-1])

    def url(self, path: str = "") -> str:
        """Return an address of the receiver; the path says how it answers."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def next(self, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Return the next request once it has arrived."""
        request: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
        return request

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the next request, whose signature must be right."""
        request = self.next()
        assert request["is_valid"]
        parameters: dict[str, str] = request["parameters"]
        return parameters

    def is_idle(self) -> bool:
        """Return whether no unexamined request has arrived."""
        return not self._rest()

    def is_silent(self, seconds: float) -> bool:
        """Return whether nothing arrives for that long."""
        try:
            self._lines.get(timeout=seconds)
        except Empty:
            return True
        return False

    def forget(self) -> None:
        """Discard what has arrived."""
        self._rest()

    def _rest(self) -> list[str]:
        # Earlier requests are printed before this one.
        mark = f"/mark-{token_hex(8)}"  # digits alone would be a status
        headers = {"X-Twilio-Signature": ""}
        requests.post(self.url(mark[1:]), headers=headers, timeout=WAIT_SECONDS)
        paths = iter(lambda: str(self.next()["path"]), mark)
        return list(paths)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line)


@pytest.fixture(scope="session")
def _receiver() -> Iterator[Receiver]:
    with Receiver(AUTH_TOKEN) as receiver:
        yield receiver


override = pytest.fixture(overrides)


@pytest.fixture
def receiver(_receiver: Receiver, override: Override) -> Iterator[Receiver]:
    """Return the receiver, with private addresses allowed."""
    override(WEBHOOK_ALLOW_PRIVATE=True)
    yield _receiver
    assert sender.flush(WAIT_SECONDS)
    _receiver.forget()


@pytest.fixture(autouse=True)
def totals() -> Iterator[Outcomes]:
    """Count outcomes from zero."""
    outcomes.forget()
    yield outcomes
    sender.flush(WAIT_SECONDS)
    outcomes.forget()


@pytest.fixture
def service(receiver: Receiver) -> Service:
    """Return a Service whose webhooks go to the receiver, those of REST too."""
    return operations.create_service(
        ACCOUNT_SID, webhook_url=receiver.url(), webhooks_from_rest_enabled=True
    )
