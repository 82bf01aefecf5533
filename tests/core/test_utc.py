"""Times are aware and in UTC, whatever the settings say."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings

from sync_streams import operations
from sync_streams.models import Service, Stream
from sync_streams.rest.fields import WireDate
from sync_streams.twilsock.tunnel import describe_stream
from sync_streams.values import utc
from sync_streams.websocket import protocol

MOMENT = datetime(2026, 7, 1, 12, 0, 5, 999999, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
WIRE = "2026-07-01T12:00:05Z"


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.astimezone(BERLIN),
        MOMENT.astimezone(timezone(timedelta(hours=-5))),
        MOMENT.astimezone(BERLIN).replace(tzinfo=None),
    ],
    ids=["UTC", "Berlin", "offset", "naive"],
)
def test_every_transport_writes_a_moment_in_utc(
    settings: Settings, moment: datetime
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    stream = Stream(date_expires=moment, date_created=moment, date_updated=moment)

    assert utc.to_iso(moment) == WIRE
    assert WireDate().to_representation(moment) == WIRE
    assert protocol.describe_stream(stream)["date_expires"] == WIRE
    assert describe_stream(stream, "").count(WIRE.encode()) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Pacific/Kiritimati"])
def test_a_time_is_read_from_the_database_unchanged(
    settings: Settings, service: Service, use_tz: bool, zone: str
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, zone
    stream = operations.create_stream(service, ttl=60)

    stored = operations.get_stream(service, stream.sid)

    assert stored.date_expires == stream.date_expires
    assert stored.date_created.tzinfo is UTC
    assert abs(utc.now() - stored.date_created) < timedelta(seconds=30)
    assert stored.is_live()
    assert list(Stream.objects.expired(stream.date_expires)) == [stored]
