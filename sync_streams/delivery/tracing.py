"""Traces: spans for each Message, where the host project records any.

They need ``pip install sync-streams[otel]`` and a tracer provider, which the host sets:
https://opentelemetry.io/docs/languages/python/instrumentation/.

``sync_streams.publish`` covers the operation, and ``sync_streams.broadcast``, within
it, the path to the channel layer. The event carries the trace context, so that each
process with subscribers adds a span ``sync_streams.deliver``: one per Message, not per
subscriber. Failures of OpenTelemetry are logged and stop nothing.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from time import monotonic
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

from sync_streams import __version__
from sync_streams.errors import SyncError
from sync_streams.values.throttle import Throttle

from .events import Event

if TYPE_CHECKING:
    from .topic import Topic

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 1
"""Pause before OpenTelemetry is asked for a provider again, which is slow."""

COMPLAIN_SECONDS = 60
"""Minimum time between log lines about failures."""

Section = AbstractContextManager[None]
"""A block of code that is recorded, or not."""

_UNRECORDED: Section = nullcontext()


def publishing(transport: str) -> Section:
    """Record a publish from its start to its outcome."""
    if (tracer := tracing.tracer()) is None:
        return _UNRECORDED
    labels = {"sync_streams.transport": transport}
    return _Span(tracer, "publish", kind="INTERNAL", attributes=labels)


def broadcasting(event: Event) -> Section:
    """Record the broadcast of a Message, whose event gets the trace context."""
    if (tracer := tracing.tracer()) is None:
        return _UNRECORDED
    labels = _describe(event)
    return _Span(tracer, "broadcast", kind="PRODUCER", attributes=labels, event=event)


def delivering(events: Sequence[Event], topic: "Topic") -> Section:
    """Record the delivery of Messages to the subscribers of this process."""
    if (tracer := tracing.tracer()) is None:
        return _UNRECORDED
    return _Deliveries(tracer, events, topic.count)


def continuing(headers: Mapping[str, str]) -> Section:
    """Continue a request's trace, unless the host has a span of its own for it.

    Args:
        headers: the request's, by name; of these ``traceparent`` and ``tracestate``
            count. See https://www.w3.org/TR/trace-context/.
    """
    if "traceparent" not in headers or tracing.tracer() is None:
        return _UNRECORDED
    return _Continued(headers)


def _load() -> SimpleNamespace | None:
    """Return the parts of OpenTelemetry that are used, or ``None`` without it."""
    try:
        trace = import_module("opentelemetry.trace")
        module = import_module("opentelemetry.trace.propagation.tracecontext")
        return SimpleNamespace(
            trace=trace,
            context=import_module("opentelemetry.context"),
            propagator=module.TraceContextTextMapPropagator(),
            unset=(trace.ProxyTracerProvider, trace.NoOpTracerProvider),
        )
    except ImportError:
        return None
    except Exception:
        logger.exception("OpenTelemetry cannot be used, so there are no traces")
        return None


class Tracing:
    """OpenTelemetry, and the tracer of the host's provider."""

    def __init__(self) -> None:
        """Load OpenTelemetry, if it is installed."""
        self.api: Any = _load()
        self._provider: object = None
        self._tracer: Any = None
        self._ask_at = 0.0
        self._complaints = Throttle(COMPLAIN_SECONDS)

    def tracer(self) -> Any | None:
        """Return the tracer, or ``None`` if the host records no traces."""
        if self.api is None or monotonic() < self._ask_at:
            return None
        try:
            provider = self.api.trace.get_tracer_provider()
            if provider is not self._provider:
                self._tracer = self._make_tracer(provider)
                self._provider = provider
            if self._tracer is None:
                self._ask_at = monotonic() + ASK_AGAIN_SECONDS
        except Exception as error:
            self.complain(error)
            return None
        return self._tracer

    def _make_tracer(self, provider: Any) -> Any | None:
        if isinstance(provider, self.api.unset):
            return None
        return provider.get_tracer("sync_streams", __version__)

    def complain(self, error: Exception) -> None:
        """Log a failure, at most once a minute."""
        if self._complaints.allows():
            logger.error("a trace was not recorded", exc_info=error)


tracing = Tracing()


class _Guarded(ABC):
    """A section whose own failures are logged and stop nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        try:
            self.start()
        except Exception as failure:
            tracing.complain(failure)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.end(error)
        except Exception as failure:
            tracing.complain(failure)

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def end(self, error: BaseException | None) -> None: ...


class _Span(_Guarded):
    """A span that is the current one in its section."""

    __slots__ = ("_arguments", "_event", "_name", "_span", "_token", "_tracer")

    def __init__(
        self, tracer: Any, name: str, *, event: Event | None = None, **arguments: Any
    ) -> None:
        self._tracer, self._name, self._arguments = tracer, name, arguments
        self._event = event
        self._span: Any = None
        self._token: Any = None

    def start(self) -> None:
        self._span = _start(self._tracer, self._name, **self._arguments)
        here = tracing.api.trace.set_span_in_context(self._span)
        self._token = tracing.api.context.attach(here)
        if self._event is not None:
            tracing.api.propagator.inject(self._event, here)

    def end(self, error: BaseException | None) -> None:
        if self._token is not None:
            tracing.api.context.detach(self._token)
        if self._span is not None:
            if error is not None:
                self._fail(error)
            self._span.end()

    def _fail(self, error: BaseException) -> None:
        # Only its code or type: its text and traceback may contain a Message's data.
        name = error.code if isinstance(error, SyncError) else type(error).__name__
        self._span.set_attribute("error.type", str(name))
        self._span.set_status(tracing.api.trace.StatusCode.ERROR)


class _Deliveries(_Guarded):
    """A span for each Message that carries a trace context."""

    __slots__ = ("_events", "_labels", "_spans", "_tracer")

    def __init__(self, tracer: Any, events: Sequence[Event], subscribers: int) -> None:
        self._tracer, self._events = tracer, events
        self._labels = {"sync_streams.subscribers": subscribers}
        self._spans: list[Any] = []

    def start(self) -> None:
        for event in self._events:
            if "traceparent" in event:
                labels = {**_describe(event), **self._labels}
                origin = tracing.api.propagator.extract(event)
                arguments = {"attributes": labels, "context": origin}
                span = _start(self._tracer, "deliver", kind="CONSUMER", **arguments)
                self._spans.append(span)

    def end(self, error: BaseException | None) -> None:
        for span in self._spans:
            span.end()


class _Continued(_Guarded):
    """A section in which the span of a request's headers is the current one."""

    __slots__ = ("_headers", "_token")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._token: Any = None

    def start(self) -> None:
        api = tracing.api
        if not api.trace.get_current_span().get_span_context().is_valid:
            self._token = api.context.attach(api.propagator.extract(self._headers))

    def end(self, error: BaseException | None) -> None:
        if self._token is not None:
            tracing.api.context.detach(self._token)


def _start(tracer: Any, name: str, *, kind: str, **arguments: Any) -> Any:
    kinds = tracing.api.trace.SpanKind
    return tracer.start_span(f"sync_streams.{name}", kind=kinds[kind], **arguments)


def _describe(event: Event) -> dict[str, str]:
    return {
        "messaging.system": "sync_streams",
        "messaging.destination.name": event["stream_sid"],
        "messaging.message.id": event.get("message_sid", ""),
    }
