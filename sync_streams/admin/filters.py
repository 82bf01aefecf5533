"""Filters of the admin's lists."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sync_streams.conf import get_settings


class AccountFilter(admin.SimpleListFilter):
    """By account; the choices are those of the settings."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return account_choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(account_sid=self.value()) if self.value() else queryset


class ExpiryFilter(admin.SimpleListFilter):
    """By how soon a Stream lapses."""

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
        now = timezone.now()
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


def account_choices() -> list[tuple[str, str]]:
    """Return the accounts of the settings, as choices; their secrets stay there."""
    return [(sid, sid) for sid in get_settings().accounts]
