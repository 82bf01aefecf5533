"""Services and Streams of the test site's first account."""

from collections.abc import Iterator

import pytest
from django.dispatch import Signal

from sync_streams import operations, signals
from sync_streams.models import Service, Stream
from tests.settings import ACCOUNT_SID

Announced = list[tuple[str, str]]
"""What happened to which Stream, in order: the signal's name and the unique name."""


@pytest.fixture
def service() -> Service:
    return operations.create_service(ACCOUNT_SID)


@pytest.fixture
def stream(service: Service) -> Stream:
    return operations.create_stream(service, unique_name="news")


@pytest.fixture
def announced() -> Iterator[Announced]:
    """Collect the signals of Streams."""
    events: Announced = []
    names = {
        id(signals.stream_created): "created",
        id(signals.stream_updated): "updated",
        id(signals.stream_removed): "removed",
    }
    sources = [signals.stream_created, signals.stream_updated, signals.stream_removed]

    def note(signal: Signal, stream: Stream, **_: object) -> None:
        events.append((names[id(signal)], str(stream)))

    for source in sources:
        source.connect(note)
    yield events
    for source in sources:
        source.disconnect(note)
