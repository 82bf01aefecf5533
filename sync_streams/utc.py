"""Moments: aware and in UTC, whatever ``USE_TZ`` and the database's time zone say.

Where ``USE_TZ`` is off, Django's own field gives local times without a zone: an hour a
year stands for two, and a TTL across it would end an hour early or late.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    DateTimeField = models.DateTimeField[Any, Any]
else:  # Django's class is generic to the type checker only.
    DateTimeField = models.DateTimeField


def now() -> datetime:
    """Return the moment it is."""
    return datetime.now(UTC)


def to_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without a zone is in that of the settings."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC)


def to_iso(moment: datetime) -> str:
    """Write a moment as every transport does: UTC, to the second."""
    return to_utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


class UTCDateTimeField(DateTimeField):
    """A moment, in Python always aware and in UTC.

    A database that knows time zones stores the moment; in any other the column holds
    UTC. Migrations see Django's own field, for the columns are the same.
    """

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def from_db_value(
        self, value: datetime | None, _: object, connection: "BaseDatabaseWrapper"
    ) -> datetime | None:
        """Return the moment that a column holds."""
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
        """Return a moment as a column holds it."""
        value = value if prepared else self.get_prep_value(value)
        if isinstance(value, datetime):
            value = to_utc(value)
            if not connection.features.supports_timezones:
                value = value.replace(tzinfo=None)
        return connection.ops.adapt_datetimefield_value(value)
