"""Operations on Services: see https://www.twilio.com/docs/sync/api/service."""

from functools import partial
from typing import Unpack

from sync_streams.cache.lookups import look_up_service
from sync_streams.errors import InvalidWebhookUrl, ServiceNotFound
from sync_streams.models import DEFAULT_SERVICE, Service, ServiceQuerySet
from sync_streams.operations.databases import (
    atomic,
    first,
    on_commit,
    reading,
    written_alias,
)
from sync_streams.values import utc

from .actor import SYSTEM_ACTOR, Actor
from .announcements import announce_all_removed, announce_service, announce_trial
from .quotas import check_services
from .validators import ServiceFields, check_service_fields, is_storable


def create_service(account_sid: str, **fields: Unpack[ServiceFields]) -> Service:
    """Create a Service of the account.

    Raises:
        InvalidFriendlyName: 54053.
        InvalidWebhookUrl: 54051.
        InvalidParameter: 20001.
        QuotaExceeded: 20403, the account has ``max_services_per_account``.

    See https://www.twilio.com/docs/sync/api/service.
    """
    check_service_fields(fields)
    now = utc.now()
    with atomic():
        service = Service.objects.create(
            account_sid=account_sid, date_created=now, date_updated=now, **fields
        )
        check_services(account_sid)
    return service


def get_service(account_sid: str, ref: str) -> Service:
    """Return the account's Service; ``default`` is created when first requested.

    Raises:
        ServiceNotFound: 54050, no Service of the account has that SID or unique name.
    """
    if not is_storable(ref):
        raise ServiceNotFound
    service = first(Service.objects.by_ref(account_sid, ref))
    if service is None and ref == DEFAULT_SERVICE:
        return _create_default(account_sid)
    if service is None:
        raise ServiceNotFound
    return service


def find_service(account_sid: str, ref: str) -> Service:
    """Return the account's Service, possibly from the cache.

    Raises:
        ServiceNotFound: 54050.
    """
    fetch = partial(get_service, account_sid, ref)
    return look_up_service(account_sid, ref, fetch)


def list_services(account_sid: str) -> ServiceQuerySet:
    """Return the account's Services, oldest first."""
    return Service.objects.filter(account_sid=account_sid)


def list_watched_services() -> list[Service]:
    """Return the Services, of all accounts, with reachability webhooks."""
    watched = Service.objects.filter(reachability_webhooks_enabled=True)
    with reading():
        return list(watched.exclude(webhook_url=None))


def update_service(service: Service, **fields: Unpack[ServiceFields]) -> Service:
    """Update a Service; without fields it is unchanged.

    Raises:
        InvalidFriendlyName: 54053.
        InvalidWebhookUrl: 54051.
        InvalidParameter: 20001.
        ServiceNotFound: 54050, it was removed meanwhile.
    """
    check_service_fields(fields)
    if not fields:
        return service
    changes = {**fields, "date_updated": utc.now()}
    with atomic():
        if not Service.objects.filter(sid=service.sid).update(**changes):
            raise ServiceNotFound
        service.refresh_from_db(using=written_alias())
        on_commit(partial(announce_service, service))
    return service


def remove_service(service: Service, *, actor: Actor = SYSTEM_ACTOR) -> None:
    """Remove a Service and all its Streams; their subscribers are told.

    Raises:
        ServiceNotFound: 54050, it was removed meanwhile.
    """
    with atomic():
        # Lock first: a Stream that is being created is then either in the list below or
        # finds the Service gone.
        Service.objects.select_for_update().filter(sid=service.sid).first()
        streams = list(service.streams.using(written_alias()))
        _, removed = Service.objects.filter(sid=service.sid).delete()
        if not removed.get(Service._meta.label):
            raise ServiceNotFound
        on_commit(partial(announce_service, service))
        announce_all_removed(streams, actor)


def _create_default(account_sid: str) -> Service:
    now = utc.now()
    fields = {
        "friendly_name": "Default Service",
        "date_created": now,
        "date_updated": now,
    }
    with atomic():
        service, _ = Service.objects.get_or_create(
            account_sid=account_sid, unique_name=DEFAULT_SERVICE, defaults=fields
        )
    return service


def try_webhook(service: Service) -> list[str]:
    """Send a ``webhook_test`` to the Service's ``webhook_url`` and wait for a response.

    Takes at most 15 seconds.

    Returns:
        Why it was not delivered or not answered with 2xx; empty on success.

    Raises:
        InvalidWebhookUrl: 54051, the Service has none.
    """
    if not service.webhook_url:
        raise InvalidWebhookUrl
    return announce_trial(service, SYSTEM_ACTOR)
