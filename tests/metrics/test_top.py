"""sync_top finds the busy Stream, across two workers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.commands.manage import Running, manage, running
from tests.faults.worker import ACCOUNT
from tests.metrics.workers import MAX_TRIES, Client, Workers, serving

RATE = 4


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    folder = tmp_path_factory.mktemp("workers")
    with serving(folder, PUBLISH_RATE=RATE) as workers:
        yield workers


def rows_until(
    command: Running,
    condition: Callable[[list[dict[str, Any]]], bool],
    meanwhile: Callable[[], object],
) -> list[dict[str, Any]]:
    """Repeat something until the command shows the effect."""
    for _ in range(MAX_TRIES):
        meanwhile()
        rows: list[dict[str, Any]] = json.loads(command.line())["streams"]
        if condition(rows):
            return rows
    raise AssertionError(command.process.args)


@pytest.mark.redis
def test_top_names_who_publishes_and_who_is_refused(workers: Workers) -> None:
    sids = {
        name: workers.request("/default/Streams", UniqueName=name).json()["sid"]
        for name in ("loud", "quiet")
    }
    statuses: list[int] = []

    def publish() -> None:
        statuses.extend(workers.publish("loud") for _ in range(3 * RATE))
        assert workers.publish("quiet") in {201, 429}

    arguments = "sync_top", "--json", "--interval", "0", "--sort", "refused"
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(Client(workers, "loud"))
        command = stack.enter_context(running(*arguments, environ=workers.environ))
        rows = rows_until(
            command,
            lambda rows: len(rows) == 2 and bool(rows[0]["refused"]),
            publish,
        )
        assert command.interrupt() == 0

    loud, quiet = rows
    assert 429 in statuses
    assert (loud["stream_sid"], loud["unique_name"]) == (sids["loud"], "loud")
    assert loud["account_sid"] == ACCOUNT.sid
    assert loud["service_sid"].startswith("IS")
    assert (loud["subscribers"], quiet["subscribers"]) == (5, 0)
    assert loud["refused"] > quiet["refused"]
    assert 0 < loud["published"] <= 2 * RATE
    assert loud["dropped"] == 0


@pytest.mark.redis
def test_top_prints_a_table_once(workers: Workers) -> None:
    sid = workers.request("/default/Streams", UniqueName="watched").json()["sid"]
    with Client(workers, "watched"):
        done = manage(
            "sync_top", "--once", "--sort", "subscribers", environ=workers.environ
        )

    head, first, *_ = done.stdout.splitlines()
    assert head.split()[:2] == ["MSG/S", "SUBSCRIBERS"]
    assert first.split()[1] == "1"
    assert first.endswith("watched"), sid
    assert done.returncode == 0


@pytest.mark.redis
@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--interval", "-1")])
def test_top_reports_wrong_arguments(workers: Workers, wrong: tuple[str, str]) -> None:
    done = manage("sync_top", *wrong, environ=workers.environ)

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: --limit must be at least 1")
