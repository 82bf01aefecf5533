"""The demo site's settings under test, with the view of metrics, and with traces."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.faults.settings import *  # noqa: F403 - whatever the site has

# Every worker imports the settings, and has its own.
spans = InMemorySpanExporter()
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(_provider)

ROOT_URLCONF = "tests.metrics.urls"
