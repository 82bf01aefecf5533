"""Workers under uvicorn, clients that come back, a publisher that accounts for all."""

import asyncio
import json
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from project.cluster import nginx_command, worker_command
from tests.services import ROOT, Program, free_port, site_environ

ACCOUNT_SID, AUTH_TOKEN = "AC" + "c" * 32, "auth-token-of-the-cluster-under-fault"
KEY_SID, KEY_SECRET = "SK" + "c" * 32, "api-key-secret-of-the-cluster-under-fault"
CREDENTIALS = {
    "SYNC_ACCOUNT_SID": ACCOUNT_SID,
    "SYNC_AUTH_TOKEN": AUTH_TOKEN,
    "SYNC_API_KEY_SID": KEY_SID,
    "SYNC_API_KEY_SECRET": KEY_SECRET,
}
WAIT_SECONDS = 30
PAUSE_SECONDS = 0.1, 0.5
"""How long a client whose connection broke waits before it comes back."""


class Worker:
    """One process of the demo site under uvicorn; it comes back on the same port."""

    def __init__(self, data_dir: Path, **environ: str) -> None:
        settings = {"DRAIN_SECONDS": 1, "CANARY_SECONDS": 0.5, "LOOKUP_SECONDS": 1}
        settings |= json.loads(environ.pop("FAULT_SETTINGS", "{}"))
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        environ["FAULT_SETTINGS"] = json.dumps(settings)
        self.environ = worker_environ(data_dir, **environ)
        self.start()

    def start(self) -> None:
        """Start it."""
        command = worker_command(self.port, "tests.faults.asgi:application")
        command += ["--log-level", "info"]
        ready = "Uvicorn running on"
        self.program = Program(*command, ready=ready, environ=self.environ)

    def stop(self, with_signal: int = 15) -> int:
        """End it and return its exit code."""
        return self.program.stop(with_signal)

    @property
    def removed(self) -> list[str]:
        """SIDs of the Streams whose removal this process announced."""
        lines = self.program.output.splitlines()
        return [line.split()[1] for line in lines if line.startswith("REMOVED ")]

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB."""
        return rss_mb(self.program.process.pid)


def worker_environ(data_dir: Path, **environ: str) -> dict[str, str]:
    """Return the environment of a worker that keeps its data in a folder."""
    environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
    return site_environ(data_dir, **CREDENTIALS, **environ)


def provision(data_dir: Path, **environ: str) -> None:
    """Make the tables, the Service and the Stream ``demo``."""
    command = [sys.executable, "-m", "project", "provision"]
    environ = worker_environ(data_dir, **environ)
    subprocess.run(command, cwd=ROOT, env=environ, check=True)


def run_django(worker: Worker, code: str) -> str:
    """Run a few lines against the worker's database and return what they print."""
    setup = "import django; django.setup()\n"
    setup += "from sync_streams.models import Service, Stream\n"
    command = [sys.executable, "-c", setup + code]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=worker.environ,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def create_streams(worker: Worker, count: int) -> list[str]:
    """Create Streams without names and return their SIDs."""
    code = (
        "service = Service.objects.get()\n"
        "new = [Stream(service=service, account_sid=service.account_sid)"
        f" for _ in range({count})]\n"
        "print(*(stream.sid for stream in Stream.objects.bulk_create(new)))"
    )
    return run_django(worker, code).split()


def authorization() -> dict[str, str]:
    """Return the header that logs in to the REST API."""
    login = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode())
    return {"Authorization": f"Basic {login.decode()}"}


class Front:
    """nginx before workers, with the configuration that docs/deployment.md shows."""

    def __init__(self, folder: Path, *workers: Worker) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        command = nginx_command(folder, port, [worker.port for worker in workers])
        command += ["-g", "error_log stderr notice;"]
        self._program = Program(*command, ready="start worker process ")

    def stop(self) -> None:
        """End it."""
        self._program.stop()


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def new_token(identity: str) -> str:
    """Return an access token for the default Service."""
    token = AccessToken(ACCOUNT_SID, KEY_SID, KEY_SECRET, identity=identity)
    token.add_grant(SyncGrant(service_sid="default"))
    return str(token.to_jwt())


class Subscriber:
    """A client of the JSON socket that comes back whenever it is sent away or cut."""

    def __init__(self, base_url: str, *streams: str) -> None:
        self._url = base_url.replace("http", "ws", 1) + "/v1/websocket"
        self._streams = streams
        self._answers = 0
        self._token = new_token("alice")
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None]
        self.is_subscribed = False
        self.received: dict[int, float] = {}
        """When each number arrived, on the monotonic clock."""
        self.doubles = 0
        self.frames: list[dict[str, Any]] = []
        """Whatever else the server said, in order."""
        self.lost = 0
        """How often the connection ended."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay())
        await self.until(lambda: self.is_subscribed)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(
        self, condition: Callable[[], bool], *, within: float = WAIT_SECONDS
    ) -> None:
        """Wait until something holds that a frame or a connection brings about."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(condition)

    async def _stay(self) -> None:
        while True:
            pause = random.uniform(*PAUSE_SECONDS)
            try:
                async with connect(self._url, open_timeout=5) as connection:
                    pause = await self._serve(connection) or pause
            except (OSError, TimeoutError, WebSocketException):
                pass
            if self.is_subscribed:
                self.lost += 1
            await self._note(is_subscribed=False)
            await asyncio.sleep(pause)

    async def _serve(self, connection: ClientConnection) -> float | None:
        """Serve until the connection ends; return the pause that was asked for."""
        pause = None
        first = {"type": "connect", "id": 1, "token": self._token}
        await connection.send(json.dumps(first))
        async for text in connection:
            frame = json.loads(text)
            if frame["type"] == "closing":
                pause = frame["reconnect_after"]
            await self._take(connection, frame)
        return pause

    async def _take(self, connection: ClientConnection, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "connected":
                self._answers = 0
                for stream in self._streams:
                    asked = {"type": "subscribe", "id": 2, "stream": stream}
                    await connection.send(json.dumps(asked))
            case "ping":
                await connection.send('{"type":"pong"}')
            case "subscribed":
                self._answers += 1
                await self._note(is_subscribed=self._answers == len(self._streams))
            case "message":
                number = frame["message"]["data"]["n"]
                self.doubles += number in self.received
                self.received[number] = time.monotonic()
                await self._note()
            case _:
                self.frames.append(frame)
                if frame["type"] == "error":  # too early: the server is in trouble
                    await connection.close()
                await self._note()

    async def _note(self, *, is_subscribed: bool | None = None) -> None:
        async with self._news:
            if is_subscribed is not None:
                self.is_subscribed = is_subscribed
            self._news.notify_all()


@dataclass(slots=True)
class Attempt:
    """One publish over REST."""

    number: int
    began: float
    took: float
    status: int
    """0: the connection broke before an answer came."""

    code: int | None = None


@dataclass
class Publisher:
    """Publishes numbers over REST, each once, and keeps what became of it."""

    base_url: str
    stream: str
    attempts: list[Attempt] = field(default_factory=list)
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        # A connection for each publish, as most callers of a REST API have it.
        self._session = aiohttp.ClientSession(
            headers=authorization(),
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(WAIT_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def publish(self, stream: str | None = None) -> Attempt:
        """Publish the next number."""
        attempt = Attempt(len(self.attempts), time.monotonic(), 0, 0)
        self.attempts.append(attempt)
        path = f"/v1/Services/default/Streams/{stream or self.stream}/Messages"
        data = {"Data": json.dumps({"n": attempt.number})}
        try:
            async with self._session.post(self.base_url + path, data=data) as answer:
                attempt.status = answer.status
                if answer.content_type == "application/json":  # nginx speaks HTML
                    attempt.code = (await answer.json()).get("code")
        except aiohttp.ClientError:
            attempt.status = 0
        attempt.took = time.monotonic() - attempt.began
        return attempt

    async def load(self, rate: float, until: asyncio.Event) -> None:
        """Publish at a rate, not waiting for answers, until the event is set."""
        begun: list[asyncio.Task[Attempt]] = []
        while not until.is_set():
            begun.append(asyncio.create_task(self.publish()))
            await asyncio.sleep(1 / rate)  # the rate, not a wait for deliveries
        await asyncio.gather(*begun)

    @property
    def accepted(self) -> list[int]:
        """The numbers that were answered with 201."""
        return [one.number for one in self.attempts if one.status == 201]

    def refused(self, since: float, until: float) -> list[Attempt]:
        """Return the attempts of a time that were not answered with 201."""
        return [
            one
            for one in self.attempts
            if since <= one.began < until and one.status != 201
        ]


def lost(publisher: Publisher, *subscribers: Subscriber) -> int:
    """Return how many accepted Messages did not arrive, over all subscribers."""
    accepted = set(publisher.accepted)
    return sum(len(accepted - set(one.received)) for one in subscribers)
