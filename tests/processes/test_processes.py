"""Processes of every kind can publish, without side effects."""

import os
import subprocess
import sys

import pytest

from tests import zygote
from tests.delivery.hubs import REDIS_LAYERS
from tests.programs import ROOT, RedisServer
from tests.webhooks.conftest import Receiver

WAIT_SECONDS = 60

pytestmark = pytest.mark.redis


def run(module: str, *arguments: str, redis_url: str, **environ: str) -> list[str]:
    """Run a module of this folder, which must succeed; return its output."""
    command = ["-m", f"tests.processes.{module}", *arguments]
    environ = {**os.environ, "REDIS_URL": redis_url, **environ}
    if module == "greenlets":  # their library has to be the first to load sockets
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    else:
        done = zygote.run(*command, environ=environ, seconds=WAIT_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_go_on_after_a_publish_and_a_webhook(
    receiver: Receiver, redis_url: str, library: str
) -> None:
    hook = receiver.url("slow").replace("127.0.0.1", "localhost")
    assert run("greenlets", library, redis_url=redis_url, HOOK=hook) == [
        "streams: 1",
        "published: 20",
        "flushed: True",
        "streams: 2",
        "others went on: True",
        "streams: 2",
    ]
    assert [receiver.parameters()["EventType"] for _ in range(2)] == [
        "stream_created",
        "webhook_test",
    ]


def test_child_forked_from_a_server_publishes_and_inherits_nothing(
    redis_url: str,
) -> None:
    assert run("forks", redis_url=redis_url) == [
        "parent",
        "child",
        "loop of the child",
        "parent, again",
        # It receives no change notices and has no cached Service and no connections.
        "default (False, None, 0) published",
    ]


def test_event_loop_for_each_task_leaves_nothing_behind(redis_url: str) -> None:
    assert run("loops", redis_url=redis_url) == [
        # The last one is released with the next.
        "asyncio.run: 0 connections, 1 loops",
        "async_to_sync: 0 connections, 1 loops",
        "thread: 0 connections, 1 loops",
    ]


def test_process_that_only_publishes_caches_lookups(
    redis_url: str,
) -> None:
    assert run("publisher", redis_url=redis_url) == [
        "first: 2",
        "receiving: False",
        "second: 2",
        "third: 2",
        "fourth: 0",
        # It reports to operators that it serves no connections.
        "serving: [0]",
        "removed: 54300",
    ]


@pytest.mark.parametrize("name", REDIS_LAYERS)
def test_process_that_served_for_a_while_receives_again(
    name: str, redis_server: RedisServer
) -> None:
    assert run("served", redis_url=redis_server.url, LAYER=REDIS_LAYERS[name]) == [
        "serving: [1], alone",
        "published",
        "serving: [0]",
        "published",
    ]
