"""Filters of the admin's lists."""

from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from sync_streams.conf import get_settings
from sync_streams.delivery.cluster import stats
from sync_streams.values import utc


class AccountFilter(admin.SimpleListFilter):
    """By account; the choices come from the settings."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return account_choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(account_sid=self.value()) if self.value() else queryset


class ExpiryFilter(admin.SimpleListFilter):
    """By how soon a Stream expires."""

    title = _("expiry")
    parameter_name = "expires"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [
            ("hour", _("within an hour")),
            ("day", _("within a day")),
            ("later", _("later")),
            ("never", _("never")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = utc.now()
        match self.value():
            case "hour":
                return queryset.filter(date_expires__lte=now + timedelta(hours=1))
            case "day":
                return queryset.filter(date_expires__lte=now + timedelta(days=1))
            case "later":
                return queryset.filter(date_expires__gt=now + timedelta(days=1))
            case "never":
                return queryset.filter(date_expires=None)
        return queryset


class OccupancyFilter(admin.SimpleListFilter):
    """By whether anybody is subscribed now, according to all processes.

    Each process reports only its thousand busiest Streams.
    """

    title = _("subscribers")
    parameter_name = "occupied"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [("yes", _("with subscribers")), ("no", _("without subscribers"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return queryset.filter(sid__in=self._occupied)
            case "no":
                return queryset.exclude(sid__in=self._occupied)
        return queryset

    @cached_property
    def _occupied(self) -> list[str]:
        counts = stats.ask().subscribers
        return [sid for sid, count in counts.items() if count]


def account_choices() -> list[tuple[str, str]]:
    """Return the accounts in the settings as choices, without their secrets."""
    return [(sid, sid) for sid in get_settings().accounts]
