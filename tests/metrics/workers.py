"""A site with two workers on one port, and what clients and metrics say of it."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import ClientConnection, connect

from project.cluster import worker_command
from tests.faults.rig import new_token
from tests.faults.worker import CREDENTIALS, provision, worker_environ
from tests.programs import Program, RedisServer, free_port

WORKERS = 2
MAX_TRIES = 500
WAIT_SECONDS = 20
LOGIN = CREDENTIALS["SYNC_ACCOUNT_SID"], CREDENTIALS["SYNC_AUTH_TOKEN"]


class Scrape:
    """What one process answered."""

    def __init__(self, answer: requests.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.answered_by = answer.headers["Process"]
        """Process id of who answered."""
        self.text = answer.text
        self._samples = [
            sample
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        ]

    @property
    def processes(self) -> set[str]:
        """Ids of all processes in the response."""
        return set(self.by_process("info"))

    def by_process(self, name: str, **labels: str) -> Counter[str]:
        """Return a count's sum over all other labels, by process id."""
        sums: Counter[str] = Counter()
        for one in self._samples:
            is_asked = one.name == f"sync_streams_{name}"
            if is_asked and labels.items() <= one.labels.items():
                sums[one.labels["process"].rpartition(":")[2]] += int(one.value)
        return sums

    def total(self, name: str, **labels: str) -> int:
        """Return a count's sum over the processes."""
        return sum(self.by_process(name, **labels).values())


@dataclass
class Workers:
    """The running site."""

    base_url: str
    redis: RedisServer
    program: Program
    environ: dict[str, str]
    """The environment that commands of the site run in."""

    def scrape(self) -> Scrape:
        """Ask one of the processes, over a connection of its own."""
        return Scrape(requests.get(f"{self.base_url}/metrics", timeout=WAIT_SECONDS))

    def scrape_each(self) -> list[Scrape]:
        """Ask until each process has answered; return an answer of each."""
        found: dict[str, Scrape] = {}
        for _ in range(MAX_TRIES):
            scrape = self.scrape()
            found[scrape.answered_by] = scrape
            if len(found) == WORKERS:
                return list(found.values())
        raise AssertionError(f"only {set(found)} answered")

    def request(self, path: str, **fields: str) -> requests.Response:
        """POST to the REST API, over a connection of its own."""
        url = f"{self.base_url}/v1/Services{path}"
        return requests.post(url, auth=LOGIN, data=fields, timeout=WAIT_SECONDS)

    def publish(self, stream: str, number: int = 0) -> int:
        """Publish a number and return the status."""
        path = f"/default/Streams/{stream}/Messages"
        return self.request(path, Data=json.dumps({"n": number})).status_code


class Client:
    """A JSON socket that is subscribed to a Stream."""

    def __init__(self, workers: Workers, stream: str) -> None:
        url = workers.base_url.replace("http", "ws", 1) + "/v1/websocket"
        self._connecting = connect(url)
        self._stream = stream
        self._socket: ClientConnection
        self.gaps = 0
        """Number of gaps it received."""

    def __enter__(self) -> Self:
        self._socket = self._connecting.__enter__()
        self._ask({"type": "connect", "id": 1, "token": new_token("alice")})
        self.subscribe(self._stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._connecting.__exit__(None, None, None)

    def subscribe(self, *streams: str) -> None:
        """Subscribe to further Streams."""
        for stream in streams:
            self._ask({"type": "subscribe", "id": 2, "stream": stream})

    def publish(self, *datas: object, stream: str = "") -> list[dict[str, Any]]:
        """Publish at once; return the answers, whatever they say."""
        for number, data in enumerate(datas):
            frame = {"type": "publish", "id": 100 + number, "data": data}
            self._socket.send(json.dumps(frame | {"stream": stream or self._stream}))
        answers: list[dict[str, Any]] = []
        while len(answers) < len(datas):
            frame = self._receive()
            if "id" in frame:
                answers.append(frame)
        return answers

    def wait_for(self, number: int) -> None:
        """Receive until a number comes."""
        while self._receive().get("message", {}).get("data") != {"n": number}:
            pass

    def _ask(self, frame: dict[str, Any]) -> None:
        self._socket.send(json.dumps(frame))
        while self._receive().get("id") != frame["id"]:
            pass

    def _receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._socket.recv(WAIT_SECONDS))
        self.gaps += frame["type"] == "gap"
        if frame["type"] == "ping":
            self._socket.send('{"type":"pong"}')
        return frame


@contextmanager
def serving(folder: Path, *, files: int = 0, **settings: object) -> Iterator[Workers]:
    """Serve the demo site with two workers on one port, each with so many files."""
    redis, port = RedisServer(), free_port()
    provision(folder)
    settings |= {"CACHE_SECONDS": 1, "PROBE_SECONDS": 0.5, "DRAIN_SECONDS": 1}
    environ = worker_environ(
        folder,
        REDIS_URL=redis.url,
        FAULT_SETTINGS=json.dumps(settings),
        WEBHOOK_ALLOW_PRIVATE="1",
    )
    environ["DJANGO_SETTINGS_MODULE"] = "tests.metrics.settings"
    command = [*worker_command(port), "--workers", str(WORKERS), "--log-level", "info"]
    if files:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$0" "$@"', *command]
    try:
        with Program(*command, ready="startup complete", environ=environ) as program:
            url = f"http://127.0.0.1:{port}"
            workers = Workers(url, redis, program, environ)
            _wait_for_all(workers)
            yield workers
    finally:
        redis.stop()


def _wait_for_all(workers: Workers) -> None:
    for _ in range(MAX_TRIES):
        try:
            if len(workers.scrape().processes) == WORKERS:
                return
        except requests.ConnectionError:  # its lifespan is over, but none listens yet
            time.sleep(0.05)
    raise AssertionError("not all workers answered")
