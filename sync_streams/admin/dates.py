"""Dates: in the current time zone, even with ``USE_TZ`` off.

Our columns are in UTC then, too (``values/utc.py``), and Django would show them as if
they were local.
"""

from datetime import datetime
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.utils import formats, timezone


def show_date(moment: datetime) -> str:
    """Return a date and time."""
    return str(formats.localize(timezone.localtime(moment)))


class DatedList(ChangeList):
    """A list that offers only dates by which it filters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if _groups_by_days_of_utc(self.queryset.db):
            self.date_hierarchy = None


def _groups_by_days_of_utc(alias: str) -> bool:
    uses_zones = timezone.is_aware(timezone.now())
    return not (uses_zones or connections[alias].features.supports_timezones)
