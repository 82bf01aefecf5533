"""Metrics of two workers on one port: either reports for both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.clients.rest import SERVICES, request
from tests.faults.worker import ACCOUNT
from tests.metrics.workers import (
    MAX_TRIES,
    WAIT_SECONDS,
    WORKERS,
    Client,
    Scrape,
    Workers,
    serving,
)
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with serving(tmp_path_factory.mktemp("workers")) as workers:
        yield workers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(ACCOUNT.auth_token) as receiver:
        yield receiver


def scrape_until(workers: Workers, condition: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until something slow, such as a close or a webhook, has been counted."""
    for _ in range(MAX_TRIES):
        scrape = workers.scrape()
        if len(scrape.processes) == WORKERS and condition(scrape):
            return scrape
    raise AssertionError(workers.scrape().text)


def test_publishes_of_each_worker_are_seen_from_either(workers: Workers) -> None:
    before = workers.scrape().by_process("publishes_total")
    done: list[int] = []
    while len(done) < MAX_TRIES:
        workers.request("/default/Streams", UniqueName=f"s{len(done) // 10}")
        done.append(workers.publish(f"s{len(done) // 10}"))
        first = workers.scrape().by_process("publishes_total")
        if len(first - before) == WORKERS:
            break

    for scrape in workers.scrape_each():
        published = scrape.by_process("publishes_total", transport="rest")
        published.subtract(before)
        assert set(published) == scrape.processes
        assert all(published.values())
        assert sum(published.values()) == len(done)
        assert set(done) == {201}
        assert scrape.total("publish_seconds_count") >= len(done)


def on_each_worker(workers: Workers, stream: str, stack: ExitStack) -> list[Client]:
    """Subscribe clients to a Stream until each worker has one."""
    clients: list[Client] = []
    while len(clients) < MAX_TRIES:
        clients.append(stack.enter_context(Client(workers, stream)))
        if len(+workers.scrape().by_process("subscriptions")) == WORKERS:
            break
    return clients


def test_connections_and_deliveries_are_counted_where_they_are(
    workers: Workers,
) -> None:
    workers.request("/default/Streams", UniqueName="watched")
    before = scrape_until(workers, lambda scrape: not scrape.total("connections"))
    with ExitStack() as stack:
        clients = on_each_worker(workers, "watched", stack)
        for number in range(3):
            assert workers.publish("watched", number) == 201
        for client in clients:
            client.wait_for(2)

        for scrape in workers.scrape_each():
            open_ = scrape.by_process("connections", transport="websocket")
            assert set(+open_) == scrape.processes
            assert sum(open_.values()) == len(clients)
            assert scrape.by_process("subscriptions") == open_
            assert scrape.total("streams_subscribed") == WORKERS
            delivered = scrape.by_process("deliveries_total")
            delivered.subtract(before.by_process("deliveries_total"))
            assert delivered == {pid: 3 * count for pid, count in open_.items()}

    after = scrape_until(workers, lambda scrape: not scrape.total("connections"))
    opened = after.total("connections_opened_total")
    assert opened - before.total("connections_opened_total") == len(clients)
    closed = after.total("connections_closed_total", code="client")
    earlier = before.total("connections_closed_total", code="client")
    assert closed - earlier == len(clients)


def test_webhooks_are_counted_by_their_outcome(
    workers: Workers, receiver: Receiver
) -> None:
    before = workers.scrape()
    enabled = {"WebhooksFromRestEnabled": "true"}
    services = [
        workers.request("", WebhookUrl=receiver.url(path), **enabled).json()["sid"]
        for path in ("", "500")
    ]
    for sid in services:
        for _ in range(3):
            workers.request(f"/{sid}/Streams")

    def number(scrape: Scrape, outcome: str) -> float:
        counts = [s.total("webhooks_total", outcome=outcome) for s in (scrape, before)]
        return counts[0] - counts[1]

    after = scrape_until(
        workers, lambda s: number(s, "delivered") + number(s, "refused") >= 6
    )
    assert number(after, "delivered") == 3
    assert number(after, "refused") == 3
    assert len([receiver.parameters() for _ in range(6)]) == 6


def test_gaps_are_those_that_clients_received(workers: Workers) -> None:
    workers.request("/default/Streams", UniqueName="torn")
    before = workers.scrape()
    outages = before.by_process("times_unreachable_total")

    def is_over(now: Scrape) -> bool:
        since = now.by_process("times_unreachable_total") - outages
        return len(since) == WORKERS and not now.total("unreachable")

    with ExitStack() as stack:
        clients = [stack.enter_context(Client(workers, "torn")) for _ in range(4)]
        workers.redis.kill()
        workers.redis.start()
        scrape_until(workers, is_over)
        # A loss is reported before the next Message.
        assert workers.publish("torn", 1) == 201
        for client in clients:
            client.wait_for(1)
        after = workers.scrape()

    told = after.total("gaps_total", told="yes") - before.total("gaps_total")
    assert told == sum(client.gaps for client in clients) >= len(clients)


def recorded(workers: Workers, trace_id: str) -> dict[int, list[dict[str, Any]]]:
    """Ask until each process has delivered; return a trace's spans by process."""
    found: dict[int, list[dict[str, Any]]] = {}
    for _ in range(MAX_TRIES):
        url = f"{workers.base_url}/spans/{trace_id}"
        answer = requests.get(url, timeout=WAIT_SECONDS).json()
        found[answer["process"]] = answer["spans"]
        names = [{span["name"] for span in spans} for spans in found.values()]
        if sum("sync_streams.deliver" in each for each in names) == WORKERS:
            return found
    raise AssertionError(found)


def test_trace_of_a_publisher_goes_on_in_the_worker_that_delivers(
    workers: Workers,
) -> None:
    workers.request("/default/Streams", UniqueName="traced")
    trace_id = uuid4().hex
    with ExitStack() as stack:
        clients = on_each_worker(workers, "traced", stack)
        path = f"{SERVICES}/default/Streams/traced/Messages"
        parent = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
        request(workers, "POST", path, parent, Data='{"n": 1}').raise_for_status()
        for client in clients:
            client.wait_for(1)
        found = recorded(workers, trace_id)

    spans = [span for process in found.values() for span in process]
    (sent,) = (span for span in spans if span["name"] == "sync_streams.broadcast")
    delivered = [span for span in spans if span["name"] == "sync_streams.deliver"]
    assert len(delivered) == WORKERS
    assert {one["parent_id"] for one in delivered} == {sent["context"]["span_id"]}
    counts = [one["attributes"]["sync_streams.subscribers"] for one in delivered]
    assert sum(counts) == len(clients)
    assert len({one["attributes"]["messaging.message.id"] for one in delivered}) == 1
