"""Datetimes: aware and in UTC, regardless of ``USE_TZ`` and the database's time zone.

With ``USE_TZ`` off, Django's own field gives local times without a zone. One hour a
year is then ambiguous, and a TTL across it would end an hour early or late.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    DateTimeField = models.DateTimeField[Any, Any]
else:  # Django's class is generic only for the type checker.
    DateTimeField = models.DateTimeField


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def from_timestamp(seconds: float) -> datetime:
    """Return the time so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def to_utc(moment: datetime) -> datetime:
    """Convert a datetime to UTC; a naive one is in the zone of the settings."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC)


def to_iso(moment: datetime) -> str:
    """Format a datetime for every transport: UTC, to the second."""
    # Five times as fast as strftime, and each connection is told one.
    return to_utc(moment).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


class UTCDateTimeField(DateTimeField):
    """A datetime field that is always aware and in UTC in Python.

    In a database without time zone support the column contains UTC. Migrations see
    Django's own field, because the columns are the same.
    """

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def from_db_value(
        self, value: datetime | None, _: object, connection: "BaseDatabaseWrapper"
    ) -> datetime | None:
        """Return a column's value in UTC."""
        if value is None or value.tzinfo is UTC:
            return value
        if not connection.features.supports_timezones:
            return value.replace(tzinfo=UTC)
        if timezone.is_naive(value):  # in the connection's zone, with its fold
            value = value.replace(tzinfo=ZoneInfo(connection.timezone_name))
        return value.astimezone(UTC)

    def get_db_prep_value(
        self, value: Any, connection: "BaseDatabaseWrapper", prepared: bool = False
    ) -> Any:
        """Return a datetime in the form that the column stores."""
        value = value if prepared else self.get_prep_value(value)
        if isinstance(value, datetime):
            value = to_utc(value)
            if not connection.features.supports_timezones:
                value = value.replace(tzinfo=None)
        return connection.ops.adapt_datetimefield_value(value)
