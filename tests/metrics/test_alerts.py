"""Alerts of docs/monitoring, fired in a real Prometheus by staged faults."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.metrics.prometheus import firing, scraping
from tests.metrics.workers import (
    WAIT_SECONDS,
    WORKERS,
    Client,
    Workers,
    serving,
)
from tests.programs import free_port

pytestmark = pytest.mark.redis

FILES, CONNECTIONS = 512, 40
PAUSE_SECONDS = 0.6
"""Between two faults of a kind, for a scrape to see the first."""
MAX_TRIES = 100
STREAMS = [f"slow-{number}" for number in range(8)]


@dataclass
class Scene:
    """The site, and what a test opens there."""

    workers: Workers
    stack: ExitStack
    clients: list[Client] = field(default_factory=list)

    def connect(self, stream: str) -> Client:
        """Open a JSON socket that subscribes to a Stream, for the test's time."""
        self.workers.request("/default/Streams", UniqueName=stream)
        self.clients.append(self.stack.enter_context(Client(self.workers, stream)))
        return self.clients[-1]

    def most(self, name: str) -> int:
        """Return the greatest figure that one of the processes has."""
        return max(self.workers.scrape().by_process(name).values(), default=0)


def exceed_the_rate(scene: Scene) -> None:
    client = scene.clients[0] if scene.clients else scene.connect("fast")
    answers = client.publish(*[{"n": 1}] * 600)
    assert {answer.get("code") for answer in answers} >= {54009}


def read_nothing(scene: Scene) -> None:
    if not scene.clients:
        for stream in STREAMS:  # one socket is subscribed to all and reads nothing
            scene.workers.request("/default/Streams", UniqueName=stream)
        scene.connect("fast")
        scene.connect("slow-0").subscribe(*STREAMS[1:])
    for stream in STREAMS:
        scene.clients[0].publish(*[{"text": "x" * 4000}] * 30, stream=stream)


def block_the_loop(scene: Scene) -> None:
    url = f"{scene.workers.base_url}/block"
    with ThreadPoolExecutor(WORKERS) as threads:
        for answer in threads.map(requests.get, [url] * WORKERS):
            assert answer.ok


def fill_up(scene: Scene) -> None:
    while scene.most("connections") <= 0.8 * CONNECTIONS:
        for _ in range(5):
            scene.connect("full")


def run_out_of_files(scene: Scene) -> None:
    at = "127.0.0.1", int(scene.workers.base_url.rpartition(":")[2])
    while scene.most("open_descriptors") <= 0.8 * FILES:
        for _ in range(20):
            scene.stack.enter_context(socket.create_connection(at, WAIT_SECONDS))


def fail_webhooks(scene: Scene) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    answer = scene.workers.request("", WebhookUrl=url, WebhooksFromRestEnabled="true")
    for _ in range(3):
        scene.workers.request(f"/{answer.json()['sid']}/Streams")


STAGED: dict[Callable[[Scene], None], set[str]] = {
    exceed_the_rate: {"SyncStreamsRateRefusals"},
    read_nothing: {"SyncStreamsDrops"},
    block_the_loop: {"SyncStreamsLag"},
    fill_up: {"SyncStreamsFull"},
    run_out_of_files: {"SyncStreamsDescriptors", "SyncStreamsFullSoon"},
    fail_webhooks: {"SyncStreamsWebhooks"},
}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    folder = tmp_path_factory.mktemp("workers")
    limits = {"MAX_CONNECTIONS": CONNECTIONS, "MAX_FRAMES_PER_SECOND": 100_000}
    with serving(folder, files=FILES, **limits) as workers:
        yield workers


def wait_for(prometheus: str, names: set[str], seconds: float) -> bool:
    """Wait for alerts to fire; tell whether all do."""
    until = time.monotonic() + seconds
    while not names <= set(firing(prometheus)):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("fault", STAGED, ids=lambda fault: str(fault.__name__))
def test_fault_fires_its_alert(
    fault: Callable[[Scene], None], workers: Workers, prometheus: str
) -> None:
    with ExitStack() as stack:
        scene = Scene(workers, stack)
        for _ in range(MAX_TRIES):
            fault(scene)
            if wait_for(prometheus, STAGED[fault], PAUSE_SECONDS):
                return
    raise AssertionError(firing(prometheus))


def test_site_that_is_gone_fires_the_alert_of_that(tmp_path: Path) -> None:
    with scraping(tmp_path, f"http://127.0.0.1:{free_port()}") as prometheus:
        assert wait_for(prometheus, {"SyncStreamsDown"}, WAIT_SECONDS)
