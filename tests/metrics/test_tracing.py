"""Traces: the spans of a Message, as the SDK of OpenTelemetry records them."""

import asyncio
import json
import logging
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sync_streams import operations
from sync_streams.asgi import PublishEndpoint
from sync_streams.delivery import tracing
from sync_streams.delivery.topic import Topic
from sync_streams.errors import InvalidJSON
from sync_streams.publishing import apublish, first_account, publish
from tests.clients.json_socket import LocalSocket
from tests.contract.http import Application, ask, publication
from tests.documents import ROOT

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
PATH = "/v1/Services/default/Streams/board/Messages"
BODY = b"Data=%7B%22n%22%3A1%7D"
MAX_TURNS = 10_000
NAMES = ["publish", "broadcast", "deliver"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The host's provider, for this test only."""
    provider = TracerProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    for name, value in vars(tracing.Tracing()).items():
        monkeypatch.setattr(tracing.tracing, name, value)
    return provider


@pytest.fixture
def exporter(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture(autouse=True)
def _stream(transactional_db: None) -> None:
    service = operations.find_service(first_account(), "default")
    operations.obtain_stream(service, "board")


async def spans(exporter: InMemorySpanExporter, count: int) -> dict[str, ReadableSpan]:
    """Wait for that many spans; return them by the last part of their name."""
    found: tuple[ReadableSpan, ...] = ()
    for _ in range(MAX_TURNS):
        if len(found := exporter.get_finished_spans()) >= count:
            break
        await asyncio.sleep(0)
    assert len(found) == count
    return {span.name.removeprefix("sync_streams."): span for span in found}


def check_chain(found: dict[str, ReadableSpan]) -> None:
    """Check that each span is the child of the one before, in one trace."""
    for parent, child in pairwise(NAMES):
        context, origin = found[parent].context, found[child].parent
        assert origin is not None
        assert (origin.trace_id, origin.span_id) == (context.trace_id, context.span_id)


@pytest.mark.parametrize("server", ["view", "endpoint"])
async def test_a_publish_over_rest_continues_its_clients_trace(
    exporter: InMemorySpanExporter, server: str
) -> None:
    application: Application = get_asgi_application()
    if server == "endpoint":
        application = PublishEndpoint(application)
    request = publication(PATH, BODY)
    headers = [*request.headers, (b"traceparent", TRACEPARENT.encode())]
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")
        answer = await ask(application, publication(PATH, BODY, headers=headers))
        assert await socket.numbers(1) == [1]
    found = await spans(exporter, 3)

    check_chain(found)
    message = json.loads(answer.body)
    parent = found["publish"].parent
    assert parent is not None
    assert f"{parent.trace_id:032x}-{parent.span_id:016x}" == f"{TRACE}-{SPAN}"
    assert dict(found["publish"].attributes or {}) == {"sync_streams.transport": "rest"}
    delivered = dict(found["deliver"].attributes or {})
    assert delivered["messaging.message.id"] == message["sid"]
    assert delivered["sync_streams.subscribers"] == 1
    assert found["broadcast"].kind is trace.SpanKind.PRODUCER
    assert found["deliver"].kind is trace.SpanKind.CONSUMER


async def test_a_publish_over_a_socket_is_one_trace_with_its_delivery(
    exporter: InMemorySpanExporter,
) -> None:
    async with (
        LocalSocket() as publisher,
        LocalSocket("bob") as one,
        LocalSocket("eve") as other,
    ):
        for socket in one, other:
            await socket.ask("subscribe", stream="board")
        await publisher.ask("publish", stream="board", data={"secret": "in the data"})
        for socket in one, other:
            assert (await socket.receive())["type"] == "message"
    found = await spans(exporter, 3)

    check_chain(found)
    assert (found["deliver"].attributes or {})["sync_streams.subscribers"] == 2
    assert (found["publish"].attributes or {})["sync_streams.transport"] == "websocket"
    assert not any("in the data" in span.to_json() for span in found.values())


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_publish_of_the_host_is_a_child_of_its_own_span(
    exporter: InMemorySpanExporter, provider: TracerProvider, *, is_async: bool
) -> None:
    call = apublish if is_async else sync_to_async(publish, thread_sensitive=False)
    with provider.get_tracer("host").start_as_current_span("order"):
        await call("board", {"n": 1})
    found = await spans(exporter, 3)

    publish_span, host = found["publish"], found["order"]
    assert publish_span.parent is not None
    assert publish_span.parent.span_id == host.context.span_id
    assert found["broadcast"].context.trace_id == host.context.trace_id


async def test_a_publish_that_is_traced_is_left_to_a_task(
    monkeypatch: pytest.MonkeyPatch, exporter: InMemorySpanExporter
) -> None:
    find = sync_to_async(operations.find_service)
    service = await find(first_account(), "default")
    told: list[object] = []
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")

        def start() -> bool:
            return operations.start_publish(
                service, "board", {}, lambda *_: told.append(_)
            )

        is_started = start()
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)

        assert (is_started, start(), len(told)) == (False, True, 1)


async def test_a_refused_publish_says_its_code_and_was_not_broadcast(
    exporter: InMemorySpanExporter,
) -> None:
    with pytest.raises(InvalidJSON):
        await apublish("board", ["no object"])
    found = await spans(exporter, 1)

    assert (found["publish"].attributes or {})["error.type"] == "54008"
    assert found["publish"].status.status_code is trace.StatusCode.ERROR
    assert found["publish"].events == ()


async def test_an_event_is_as_before_where_the_host_records_no_traces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)

    assert tracing.tracing.tracer() is None
    assert tracing.publishing("rest") is tracing.delivering([], Topic("TO1"))
    assert tracing.continuing({"traceparent": TRACEPARENT}) is tracing.publishing("x")


class Failing(SpanProcessor):
    """Fails on any use."""

    def on_start(self, span: Any, parent_context: Any = None) -> NoReturn:
        raise RuntimeError("no disk")

    def on_end(self, span: Any) -> NoReturn:
        raise RuntimeError("no disk")


class NoTracers:
    """A provider of an old version."""

    def get_tracer(self, name: str) -> NoReturn:
        raise NotImplementedError


class BadTracer:
    """A provider whose tracer cannot start a span."""

    def get_tracer(self, *_: str) -> object:
        return object()


@pytest.mark.parametrize("fault", ["processor", "provider", "tracer", "propagator"])
async def test_publishes_and_deliveries_go_on_if_traces_fail(
    provider: TracerProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    caplog.set_level(logging.ERROR)
    if fault == "processor":
        provider.add_span_processor(Failing())
    elif fault == "propagator":
        monkeypatch.setattr(tracing.tracing.api, "propagator", SimpleNamespace())
    else:
        broken = {"provider": NoTracers(), "tracer": BadTracer()}[fault]
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", broken)
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")
        for number in range(3):
            await apublish("board", {"n": number})
        numbers = await socket.numbers(3)

    records = [one for one in caplog.records if one.name == tracing.logger.name]
    assert numbers == [0, 1, 2]
    assert [one.getMessage() for one in records] == ["a trace was not recorded"]


async def test_an_unreadable_trace_context_costs_no_message(
    exporter: InMemorySpanExporter,
) -> None:
    request = publication(PATH, BODY)
    headers = [*request.headers, (b"traceparent", b"00-zzz"), (b"tracestate", b"\xff")]
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="board")
        endpoint = PublishEndpoint(get_asgi_application())
        answer = await ask(endpoint, publication(PATH, BODY, headers=headers))
        assert await socket.numbers(1) == [1]
    found = await spans(exporter, 3)

    assert answer.status == 201
    assert found["publish"].parent is None


WITHOUT = """
import sys
sys.modules["opentelemetry"] = {module}
from sync_streams.delivery import tracing
print(tracing.tracing.tracer(), tracing.publishing("rest") is tracing.continuing({{}}))
"""


@pytest.mark.parametrize(
    "module",
    ["None", "type(sys)('opentelemetry')", "object()"],
)
def test_an_absent_or_broken_opentelemetry_is_no_trace(module: str) -> None:
    environ = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "None True\n", done.stderr
