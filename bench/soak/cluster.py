"""The cluster under test: two workers behind nginx, with Redis and PostgreSQL."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import redis

from bench import accounts, machine
from project.cluster import (
    WORKERS,
    nginx_command,
    start,
    start_postgres,
    start_redis,
    worker_command,
)
from project.ports import free_port

from .verdict import Look

APPLICATION = "bench.soak.asgi:application"
WAIT_SECONDS = 30


class Cluster:
    """The cluster of ``make run-cluster``, with a view into its state."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        """Start it.

        Args:
            stack: stops what was started, in order.
            folder: for its data.
        """
        self._redis_url = start_redis(stack)
        environ = {
            **os.environ,
            **accounts.ENVIRONMENT,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATA_DIR": str(folder),
            "REDIS_URL": self._redis_url,
            "DATABASE_URL": start_postgres(stack),
        }
        provision = [sys.executable, "-m", "project", "provision"]
        subprocess.run(provision, env=environ, check=True)
        self._ports = [free_port() for _ in range(WORKERS)]
        self._pids = [
            start(stack, worker_command(port, APPLICATION), port, environ)
            for port in self._ports
        ]
        port = free_port()
        start(stack, nginx_command(folder, port, self._ports), port)
        self.base_url = f"http://127.0.0.1:{port}"
        self._began = time.monotonic()

    def look(self, visits: int) -> Look:
        """Return what both workers and Redis hold now."""
        internals = [_internals(port) for port in self._ports]
        counts = {name: sum(one[name] for one in internals) for name in internals[0]}
        with redis.Redis.from_url(self._redis_url) as client:
            return Look(
                hours=(time.monotonic() - self._began) / 3600,
                visits=visits,
                rss_mb=tuple(machine.rss_bytes([pid]) / 1e6 for pid in self._pids),
                channels=len(client.pubsub_channels()),
                keys=client.dbsize(),
                **counts,
            )


def _internals(port: int) -> dict[str, int]:
    url = f"http://127.0.0.1:{port}/internals"
    with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
        counts: dict[str, int] = json.load(answer)
        return counts
