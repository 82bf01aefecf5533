"""Metrics: consistent with the clients' actions, in Prometheus' format."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.urls import path
from prometheus_client.parser import text_string_to_metric_families

import sync_streams
from sync_streams import metrics, operations
from sync_streams.conf import get_settings
from sync_streams.delivery.counters import dropped_rates
from sync_streams.delivery.meters import BUCKETS, Meters
from sync_streams.delivery.outbox.backlog import Backlog
from sync_streams.errors import RateLimited
from sync_streams.operations.actor import REST_ACTOR
from sync_streams.publishing import apublish, first_account
from sync_streams.uvicorn import FramePathProtocol
from tests.asgi import application
from tests.clients.json_socket import LocalSocket
from tests.clients.raw import RawSocket, frame
from tests.overrides import sync_settings
from tests.uvicorn_server import serving

urlpatterns = [path("metrics", metrics.metrics)]

Read = dict[tuple[str, str], float]


@pytest.fixture
def _routed(settings: Any, transactional_db: None) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
async def stream(_routed: None) -> str:
    service = await operations.afind_service(first_account(), "default")
    created = await sync_to_async(operations.obtain_stream)(service, "board")
    return str(created.sid)


async def scrape() -> Read:
    """Return each sample of this process, by its name and its labels' values."""
    client: Any = AsyncClient()
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        (
            sample.name,
            "/".join(v for k, v in sample.labels.items() if k != "process"),
        ): (sample.value)
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def grown(before: Read, after: Read, name: str, labels: str = "") -> float:
    key = f"sync_streams_{name}", labels
    return after.get(key, 0) - before.get(key, 0)


async def test_publishes_and_deliveries_are_counted(stream: str) -> None:
    before = await scrape()
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")
        for number in range(3):
            await apublish("board", {"n": number})
        await socket.ask("publish", stream="board", data={"n": 3})
        assert await socket.numbers(4) == [0, 1, 2, 3]
        after = await scrape()

    assert grown(before, after, "publishes_total", "published/python") == 3
    assert grown(before, after, "publishes_total", "published/websocket") == 1
    assert grown(before, after, "deliveries_total") == 4
    assert grown(before, after, "connections_opened_total", "websocket") == 1
    assert after["sync_streams_connections", "websocket"] == 1
    assert after["sync_streams_subscriptions", ""] == 1
    assert after["sync_streams_streams_subscribed", ""] == 1
    assert grown(before, after, "delivery_seconds_count") >= 1
    assert grown(before, after, "publish_seconds_count") == 4


async def test_refusals_are_counted_by_their_code(stream: str) -> None:
    before = await scrape()
    service = await operations.afind_service(first_account(), "default")
    with sync_settings(publish_rate=1):
        await operations.apublish(service, stream, {}, actor=REST_ACTOR)
        with pytest.raises(RateLimited):
            await operations.apublish(service, stream, {}, actor=REST_ACTOR)
    after = await scrape()

    assert grown(before, after, "publishes_total", "published/rest") == 1
    assert grown(before, after, "publishes_total", "54009/rest") == 1
    assert grown(before, after, "rate_refusals_total") == 1


async def test_ends_are_counted_by_who_ended(stream: str) -> None:
    before = await scrape()
    async with LocalSocket():
        pass
    with sync_settings(connect_timeout_seconds=0.01):
        socket = LocalSocket()
        await socket.open()
        await socket.receive_close()
    after = await scrape()

    assert grown(before, after, "connections_closed_total", "client/websocket") == 1
    assert grown(before, after, "connections_closed_total", "4001/websocket") == 1


async def test_a_flood_is_counted_as_ended_by_the_server(stream: str) -> None:
    before = await scrape()
    serve = serving(application, ws=FramePathProtocol)
    async with serve as port, RawSocket(port) as flooder:
        await flooder.pour(frame(10) * 500)
    after = await scrape()

    assert grown(before, after, "connections_closed_total", "4004/websocket") == 1
    assert grown(before, after, "connections_closed_total", "client/websocket") == 0


def test_drops_are_counted_by_stream_for_operators() -> None:
    before = dropped_rates.per_second().get("TO1", 0)

    Backlog(get_settings()).record_drop("TO1")

    assert dropped_rates.per_second()["TO1"] > before


def test_every_bucket_counts_values_up_to_its_bound() -> None:
    meters = Meters()
    for bound in BUCKETS:
        meters.observe("t", bound)
        meters.observe("t", bound + 1e-9)

    [[_, _, numbers]] = meters.samples()

    assert isinstance(numbers, list)
    assert numbers[:-1] == [1, *[2] * (len(BUCKETS) - 1), 1]
    assert numbers[-1] == pytest.approx(2 * sum(BUCKETS), abs=1e-6)


def test_no_metric_has_a_label_of_a_stream_or_an_identity() -> None:
    names = {label for family in metrics.FAMILIES.values() for label in family.labels}

    assert names == {"transport", "outcome", "code", "told", "part", "version"}


def counted() -> Iterator[tuple[str, str, int]]:
    """Yield the method, metric and number of labels of each call of ``meters``."""
    for module in Path(sync_streams.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        ast.Name("meters"), "count" | "observe" | "observe_since" as how
                    ),
                    args=[ast.Constant(str(name)), *others],
                ):
                    yield (
                        how.removesuffix("_since"),
                        name,
                        len(others) - (how != "count"),
                    )


def test_all_that_is_counted_is_exported_with_its_labels() -> None:
    how = {"counter": "count", "histogram": "observe"}

    assert set(counted()) == {
        (how[family.kind], name, len(family.labels))
        for name, family in metrics.FAMILIES.items()
        if family.read is None
    }


@pytest.mark.usefixtures("_routed")
@pytest.mark.parametrize("error", [ImportError, AttributeError, SyntaxError])
async def test_without_the_library_the_view_names_it(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(name: str) -> None:
        raise error(name)

    monkeypatch.setattr(metrics, "import_module", refuse)
    client: Any = AsyncClient()

    answer = await client.get("/metrics")

    assert answer.status_code == 501
    assert b"sync-streams[metrics]" in answer.content


async def test_a_library_that_fails_fails_the_scrape_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    old = SimpleNamespace(CollectorRegistry=lambda **_: None)
    client: Any = AsyncClient(raise_request_exception=False)
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")
        with monkeypatch.context() as patched:
            patched.setattr(metrics, "import_module", lambda _: old)
            await apublish("board", {"n": 1})
            answer = await client.get("/metrics")
            await apublish("board", {"n": 2})
        numbers = await socket.numbers(2)

    assert answer.status_code == 500
    assert numbers == [1, 2]
    assert grown({}, await scrape(), "deliveries_total") >= 2


async def test_descriptors_are_those_that_are_open(stream: str) -> None:
    before = await scrape()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    after = await scrape()
    for number in opened:
        os.close(number)

    assert grown(before, after, "open_descriptors") == pytest.approx(100, abs=20)
