"""``python -m bench.soak MINUTES``: churn in rounds, and a look at what is left.

After each round every client is gone, so whatever a worker still holds is a leak. Ends
with 1 if memory rises or tasks, topics, channels or keys stay behind.
"""

import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant

from bench.machine import describe
from project.cluster import (
    free_port,
    nginx_command,
    start,
    start_postgres,
    start_redis,
    worker_command,
)

from .churn import Totals, churn

ROUND_SECONDS = 30
QUIET_SECONDS = 5
WARM_UP = 0.25
"""The part of the rounds that caches and allocators may take to fill."""

MAX_MB_PER_HOUR = 10
"""Resident memory that one worker may gain; a leak of 1 KB a visit is 80."""

CREDENTIALS = {
    "SYNC_ACCOUNT_SID": "AC" + "d" * 32,
    "SYNC_AUTH_TOKEN": "d" * 32,
    "SYNC_API_KEY_SID": "SK" + "d" * 32,
    "SYNC_API_KEY_SECRET": "d" * 40,
}


class Cluster:
    """Two workers with what they need, and what can be seen of them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._redis_url = start_redis(stack)
        environ = {
            **os.environ,
            **CREDENTIALS,
            "DATA_DIR": str(folder),
            "REDIS_URL": self._redis_url,
            "DATABASE_URL": start_postgres(stack),
        }
        start_once(environ)
        self._ports = [free_port(), free_port()]
        self._pids = [
            start(
                stack,
                worker_command(port, "bench.soak.asgi:application"),
                port,
                environ,
            )
            for port in self._ports
        ]
        port = free_port()
        start(stack, nginx_command(folder, port, self._ports), port)
        self.url = f"ws://127.0.0.1:{port}"

    def look(self) -> dict[str, Any]:
        """Return what both workers and Redis hold, added up; memory one by one."""
        seen: dict[str, Any] = {"rss": [rss_mb(pid) for pid in self._pids]}
        for port in self._ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/internals") as answer:
                for name, count in json.load(answer).items():
                    seen[name] = seen.get(name, 0) + count
        with redis.Redis.from_url(self._redis_url) as client:
            seen["channels"] = len(client.pubsub_channels())
            seen["keys"] = client.dbsize()
        return seen


def start_once(environ: dict[str, str]) -> None:
    """Make the tables."""
    os.spawnve(
        os.P_WAIT,
        sys.executable,
        [sys.executable, "-m", "project", "provision"],
        environ,
    )


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def new_token() -> str:
    """Return an access token that outlives the run."""
    token = AccessToken(
        CREDENTIALS["SYNC_ACCOUNT_SID"],
        CREDENTIALS["SYNC_API_KEY_SID"],
        CREDENTIALS["SYNC_API_KEY_SECRET"],
        identity="soak",
        ttl=86_400,
    )
    token.add_grant(SyncGrant(service_sid="default"))
    return str(token.to_jwt())


def slope(values: list[float]) -> float:
    """Return the rise of equally spaced values an hour, in MB."""
    if len(values) < 3:
        return 0.0
    per_round = statistics.linear_regression(range(len(values)), values).slope
    return per_round * 3600 / (ROUND_SECONDS + QUIET_SECONDS)


def faults(rounds: list[dict[str, Any]]) -> list[str]:
    """Return what grew, in words."""
    steady = rounds[int(len(rounds) * WARM_UP) :]
    found = []
    for number in range(2):
        rise = slope([seen["rss"][number] for seen in steady])
        print(f"worker {number + 1}: {rise:+.1f} MB an hour")
        if rise > MAX_MB_PER_HOUR:
            found.append(f"worker {number + 1} gains {rise:.1f} MB an hour")
    for name in ("connections", "tasks", "topics", "channels", "keys"):
        first, last = steady[0][name], steady[-1][name]
        if last > first:
            found.append(f"{name}: {first} → {last}")
    return found


async def run(minutes: float) -> int:
    """Soak and return the exit code."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster, totals, rounds = Cluster(stack, folder), Totals(), []
        print(
            describe(), f"\n{minutes:g} minutes, two workers behind nginx\n", flush=True
        )
        print("minute  visits  RSS MB         connections tasks topics channels keys")
        ends, began = time.monotonic() + 60 * minutes, time.monotonic()
        while time.monotonic() < ends or len(rounds) < 4:
            await churn(cluster.url, new_token(), seconds=ROUND_SECONDS, totals=totals)
            await asyncio.sleep(QUIET_SECONDS)
            rounds.append(seen := cluster.look())
            memory = " ".join(f"{value:6.1f}" for value in seen["rss"])
            print(
                f"{(time.monotonic() - began) / 60:6.1f} {totals.visits:7}  {memory} "
                f"{seen['connections']:11} {seen['tasks']:6} {seen['topics']:6} "
                f"{seen['channels']:8} {seen['keys']:4}",
                flush=True,
            )
        print(f"\n{totals}")
        found = faults(rounds)
    print("FAILED: " + "; ".join(found) if found else "Nothing grew.")
    return 1 if found or totals.errors > totals.visits / 1000 else 0


def _end(*_: object) -> None:
    # As Ctrl-C does, so that what was started is stopped.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(asyncio.run(run(float(sys.argv[1] if sys.argv[1:] else 30))))
