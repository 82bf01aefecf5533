"""A site with two workers on one port, as seen by clients and metrics."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import requests
from prometheus_client.parser import text_string_to_metric_families

from project.cluster import worker_command
from tests.clients.accounts import Account
from tests.clients.blocking import BlockingSocket, Frame
from tests.clients.rest import SERVICES, request
from tests.faults.worker import ACCOUNT, provision, worker_environ
from tests.programs import Program, RedisServer, free_port

WORKERS = 2
MAX_TRIES = 500
WAIT_SECONDS = 30


class Scrape:
    """The response of one process."""

    def __init__(self, answer: requests.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.answered_by = answer.headers["Process"]
        """Id of the process that answered."""
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
    """The environment for commands of the site."""
    account: Account = ACCOUNT

    def scrape(self) -> Scrape:
        """Ask one of the processes, over a new connection."""
        return Scrape(requests.get(f"{self.base_url}/metrics", timeout=WAIT_SECONDS))

    def scrape_each(self) -> list[Scrape]:
        """Ask until each process has answered; return one response of each."""
        found: dict[str, Scrape] = {}
        for _ in range(MAX_TRIES):
            scrape = self.scrape()
            found[scrape.answered_by] = scrape
            if len(found) == WORKERS:
                return list(found.values())
        raise AssertionError(f"only {set(found)} answered")

    def request(self, path: str, **fields: str) -> requests.Response:
        """POST to the REST API, over a new connection."""
        return request(self, "POST", SERVICES + path, None, **fields)

    def publish(self, stream: str, number: int = 0) -> int:
        """Publish a number and return the status."""
        path = f"/default/Streams/{stream}/Messages"
        return self.request(path, Data=json.dumps({"n": number})).status_code


class Client(BlockingSocket):
    """A JSON socket that is subscribed to a Stream, and counts its gaps."""

    def __init__(self, workers: Workers, stream: str) -> None:
        super().__init__(workers)
        self._stream = stream
        self.gaps = 0
        """Number of gaps it received."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.subscribe(self._stream)
        return self

    def subscribe(self, *streams: str) -> None:
        """Subscribe to further Streams."""
        for stream in streams:
            self.ask("subscribe", stream=stream)

    def publish(self, *datas: object, stream: str = "") -> list[Frame]:
        """Publish at once; return the replies, whatever their result."""
        for data in datas:
            self.request("publish", stream=stream or self._stream, data=data)
        answers: list[Frame] = []
        while len(answers) < len(datas):
            frame = self.receive()
            if "id" in frame:
                answers.append(frame)
        return answers

    def wait_for(self, number: int) -> None:
        """Receive until a number arrives."""
        while self.receive().get("message", {}).get("data") != {"n": number}:
            pass

    def _next(self) -> Frame:
        frame = super()._next()
        self.gaps += frame["type"] == "gap"
        return frame


@contextmanager
def serving(folder: Path, *, files: int = 0, **settings: object) -> Iterator[Workers]:
    """Serve the demo site with two workers on one port, with limited open files."""
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
