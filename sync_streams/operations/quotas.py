"""Quotas: how many Services and Streams an account may have.

They are checked in the transaction that has just created one, so that the error for a
taken name comes first. Simultaneous creations may exceed a quota by a few: a lock on
the account would make every creation wait.
"""

from typing import Any

from django.db.models import QuerySet

from sync_streams.conf import get_settings
from sync_streams.errors import QuotaExceeded
from sync_streams.models import DEFAULT_SERVICE, Service, Stream
from sync_streams.operations.databases import written_alias


def check_services(account_sid: str) -> None:
    """Refuse the Service just created, if it is one too many.

    Raises:
        QuotaExceeded: 20403, the account has ``max_services_per_account``.
    """
    if limit := get_settings().max_services_per_account:
        # "default" is created by the server and not counted.
        own = Service.objects.using(written_alias()).filter(account_sid=account_sid)
        _check(own.exclude(unique_name=DEFAULT_SERVICE), limit, "Services")


def check_streams(account_sid: str) -> None:
    """Refuse the Stream just created, if it is one too many.

    Raises:
        QuotaExceeded: 20403, the account has ``max_streams_per_account``.
    """
    if limit := get_settings().max_streams_per_account:
        live = Stream.objects.using(written_alias()).live()
        _check(live.filter(account_sid=account_sid), limit, "Streams")


def _check(found: QuerySet[Any], limit: int, what: str) -> None:
    # Stop counting at the first row above the limit.
    if found.order_by()[limit : limit + 1].exists():
        raise QuotaExceeded(f"Too many {what} of this account")
