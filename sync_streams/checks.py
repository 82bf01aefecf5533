"""System checks: what would break or weaken the app, said before it starts.

See https://docs.djangoproject.com/en/stable/topics/checks/. Errors stop ``manage.py``;
what is fine for one process on a developer's machine is told by ``check --deploy``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from channels.layers import BaseChannelLayer, InMemoryChannelLayer
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_script_prefix, resolve

from .conf import Account, Settings, get_settings, imported
from .delivery.cluster.broadcast import channel_layer
from .mounts import APP_NAME, namespaces, services_path
from .redis.urls import hosts
from .sids import is_sid

TAG = "sync_streams"
MIN_SECRET_LENGTH = 32
"""Characters of a key that signs HS256: RFC 7518, section 3.2."""

MIN_CAPACITY = 1000
"""Events that may wait for a process. Layers drop what exceeds it, without a word."""

MIN_GROUP_EXPIRY_SECONDS = 7200
"""Groups are joined again each hour; a layer that forgets sooner makes it deaf."""


def check_settings(**_: object) -> Sequence[CheckMessage]:
    """Check ``SYNC_STREAMS`` and the channel layer."""
    try:
        settings, layer = get_settings(), channel_layer()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="sync_streams.E001")]
    accounts = settings.accounts.values()
    return [
        *_values(settings),
        *_hooks(settings),
        *_address(settings),
        *(message for account in accounts for message in _account(account)),
        *_capacity(layer),
        *_shadowed_urls(),
    ]


def check_deployment(**_: object) -> Sequence[CheckMessage]:
    """Check what a site in production needs."""
    try:
        settings, layer = get_settings(), channel_layer()
    except ImproperlyConfigured:
        return []
    return [*_sharing(settings, layer), *_secrets(settings)]


def _values(settings: Settings) -> Iterator[CheckMessage]:
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if field.type in {int, float} and not _is_amount(value):
            yield Error(
                f"SYNC_STREAMS['{field.name.upper()}'] is not a number of at least 0.",
                id="sync_streams.E002",
            )


def _hooks(settings: Settings) -> Iterator[CheckMessage]:
    for name in ("authorize", "webhook_sender"):
        hook, key = getattr(settings, name), f"SYNC_STREAMS['{name.upper()}']"
        try:
            is_function = not hook or callable(imported(hook))
        except ImproperlyConfigured as error:
            yield Error(f"{key}: {error}", id="sync_streams.E005")
            continue
        if not is_function:
            yield Error(f"{key} is not a function.", id="sync_streams.E005")


def _address(settings: Settings) -> Iterator[CheckMessage]:
    try:
        if settings.redis_url:
            hosts(settings.redis_url)
    except ValueError as error:
        # Not the address itself: it may hold a password.
        yield Error(
            f"SYNC_STREAMS['REDIS_URL'] cannot be read: {error}",
            id="sync_streams.E006",
        )


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and value >= 0


def _account(account: Account) -> Iterator[CheckMessage]:
    if not is_sid(account.sid, "AC"):
        yield Error(
            "An account SID is not AC and 32 lower-case hex digits.",
            hint="Twilio's libraries refuse any other.",
            id="sync_streams.E003",
        )
    if not all(is_sid(key_sid, "SK") for key_sid in account.api_keys):
        yield Error(
            f"An API key SID of {account.sid} is not SK and 32 lower-case hex digits.",
            id="sync_streams.E003",
        )
    if not account.auth_token or not all(account.api_keys.values()):
        yield Error(f"A secret of {account.sid} is empty.", id="sync_streams.E004")


def _shadowed_urls() -> Iterator[CheckMessage]:
    for namespace in namespaces():
        services = services_path(namespace).removeprefix(get_script_prefix())
        if APP_NAME not in resolve(f"/{services}").app_names:
            yield Warning(
                f"Another URL pattern catches /{services}.",
                hint="include() sync_streams.urls above a pattern that takes any path.",
                id="sync_streams.W007",
            )


def _capacity(layer: BaseChannelLayer) -> Iterator[CheckMessage]:
    # The pub-sub layer has neither value, and asks a running event loop for it.
    values = vars(layer)
    capacity = values.get("capacity", MIN_CAPACITY)
    if capacity < MIN_CAPACITY:
        yield Warning(
            f"The channel layer drops events above {capacity} that wait.",
            hint=f'Set "CONFIG": {{"capacity": {10 * MIN_CAPACITY}}}.',
            id="sync_streams.W001",
        )
    expiry = values.get("group_expiry", MIN_GROUP_EXPIRY_SECONDS)
    if expiry < MIN_GROUP_EXPIRY_SECONDS:
        yield Warning(
            "The channel layer forgets groups before they are joined again.",
            hint="Leave group_expiry at its default of a day.",
            id="sync_streams.W002",
        )


def _sharing(settings: Settings, layer: BaseChannelLayer) -> Iterator[CheckMessage]:
    if isinstance(layer, InMemoryChannelLayer):
        yield Warning(
            "Messages reach the subscribers of one process only.",
            hint="Use channels_redis.pubsub.RedisPubSubChannelLayer, unless this site "
            "is one process and stays so.",
            id="sync_streams.W003",
        )
    elif not settings.redis_url:
        yield Warning(
            "Each process counts a Stream's publish rate for itself.",
            hint='Set SYNC_STREAMS["REDIS_URL"].',
            id="sync_streams.W004",
        )


def _secrets(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.accounts:
        yield Warning(
            "No account can log in.",
            hint='Set SYNC_STREAMS["ACCOUNTS"].',
            id="sync_streams.W005",
        )
    for account in settings.accounts.values():
        secrets = (account.auth_token, *account.api_keys.values())
        if min(map(len, secrets)) < MIN_SECRET_LENGTH:
            yield Warning(
                f"A secret of {account.sid} has fewer than {MIN_SECRET_LENGTH} "
                "characters.",
                id="sync_streams.W006",
            )
