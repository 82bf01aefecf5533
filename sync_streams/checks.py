"""System checks: report what would break or weaken the app before it starts.

See https://docs.djangoproject.com/en/stable/topics/checks/. Errors stop ``manage.py``.
``check --deploy`` reports what is acceptable only for one process in development.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from channels.layers import BaseChannelLayer, InMemoryChannelLayer
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_script_prefix, resolve

from .conf import Settings, get_settings, has_users, imported
from .delivery.cluster.broadcast import channel_layer
from .processes import descriptors
from .redis.layer import RedisChannelLayer
from .redis.urls import hosts
from .values import kinds
from .values.accounts import SETTING, Account
from .values.mounts import APP_NAME, namespaces, services_path
from .values.sids import is_sid

TAG = "sync_streams"
PLACEHOLDER = "change-me"
"""How the documentation's placeholder secrets begin; they are public."""

PREFIX = r"[A-Za-z0-9_.-]{1,40}"
"""Characters allowed in group names, and a length that leaves room for the rest."""

MIN_CAPACITY = 1000
"""Events that may wait for a process. Layers silently drop what exceeds it."""

MIN_GROUP_EXPIRY_SECONDS = 7200
"""Groups are rejoined each hour; an earlier expiry makes the process unreachable."""


def check_settings(**_: object) -> Sequence[CheckMessage]:
    """Check ``SYNC_STREAMS`` and the channel layer."""
    try:
        settings, layer = get_settings(), channel_layer()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="sync_streams.E001")]
    return [
        *_values(settings),
        *_hooks(settings),
        *_address(settings),
        *_accounts(settings),
        *_capacity(layer),
        *_shadowed_urls(),
        *_users(),
    ]


def check_deployment(**_: object) -> Sequence[CheckMessage]:
    """Check the requirements of a production site."""
    try:
        settings, layer = get_settings(), channel_layer()
    except ImproperlyConfigured:
        return []
    return [*_sharing(settings, layer), *_secrets(settings), *_descriptors(settings)]


def _values(settings: Settings) -> Iterator[CheckMessage]:
    for field in fields(Settings):
        if words := kinds.expected(field.type, getattr(settings, field.name)):
            yield Error(
                f"SYNC_STREAMS['{field.name.upper()}'] is not {words}.",
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
        # Do not show the URL: it may contain a password.
        yield Error(
            f"SYNC_STREAMS['REDIS_URL'] cannot be read: {error}",
            id="sync_streams.E006",
        )
    if not kinds.is_public_url(settings.public_url):
        yield Error(
            "SYNC_STREAMS['PUBLIC_URL'] is not the address of a site, such as "
            '"https://sync.example.com".',
            id="sync_streams.E011",
        )
    prefix: Any = settings.prefix  # as it was given
    if not (isinstance(prefix, str) and re.fullmatch(PREFIX, prefix)):
        yield Error(
            "SYNC_STREAMS['PREFIX'] must have 1 to 40 characters: letters, digits, _, "
            "- and full stops.",
            id="sync_streams.E010",
        )


def _accounts(settings: Settings) -> Iterator[CheckMessage]:
    try:
        accounts = list(settings.accounts.values())
    except ImproperlyConfigured as error:
        yield Error(str(error), id="sync_streams.E001")
    except Exception as error:
        # The host project's function may need tables that are not migrated yet.
        yield Warning(
            f"The function for {SETTING} raises {type(error).__name__}.",
            id="sync_streams.W008",
        )
    else:
        for account in accounts:
            yield from _account(account)


def _account(account: Account) -> Iterator[CheckMessage]:
    # Do not quote an invalid SID: it may be a misplaced secret.
    if not is_sid(account.sid, "AC"):
        yield Error(
            "An account SID is not AC and 32 lower-case hex digits.",
            hint="Twilio's libraries reject any other form.",
            id="sync_streams.E003",
        )
    if not all(is_sid(key_sid, "SK") for key_sid in account.api_keys):
        yield Error(
            "An API key SID is not SK and 32 lower-case hex digits.",
            id="sync_streams.E003",
        )
    for fault in account.faults:
        yield Error(
            f"{fault} It is never accepted.",
            hint="Generate one with Python's secrets.token_hex(16).",
            id="sync_streams.E004",
        )


def _users() -> Iterator[CheckMessage]:
    if not has_users():
        yield Error(
            "Django REST framework needs django.contrib.auth in INSTALLED_APPS.",
            hint="Or set REST_FRAMEWORK['UNAUTHENTICATED_USER'] to None.",
            id="sync_streams.E007",
        )


def _shadowed_urls() -> Iterator[CheckMessage]:
    for namespace in namespaces():
        services = services_path(namespace).removeprefix(get_script_prefix())
        if APP_NAME not in resolve(f"/{services}").app_names:
            yield Warning(
                f"Another URL pattern matches /{services}.",
                hint="include() sync_streams.urls before any pattern for all paths.",
                id="sync_streams.W007",
            )


def _capacity(layer: BaseChannelLayer) -> Iterator[CheckMessage]:
    # The pub-sub layer has neither attribute, and looking one up needs an event loop.
    values = vars(layer)
    capacity = values.get("capacity", MIN_CAPACITY)
    if capacity < MIN_CAPACITY:
        yield Warning(
            f"The channel layer drops events when more than {capacity} are waiting.",
            hint=f'Set "CONFIG": {{"capacity": {10 * MIN_CAPACITY}}}.',
            id="sync_streams.W001",
        )
    expiry = values.get("group_expiry", MIN_GROUP_EXPIRY_SECONDS)
    if expiry < MIN_GROUP_EXPIRY_SECONDS:
        yield Warning(
            "The channel layer forgets groups before the server renews them.",
            hint="Leave group_expiry at its default of a day.",
            id="sync_streams.W002",
        )


def _sharing(settings: Settings, layer: BaseChannelLayer) -> Iterator[CheckMessage]:
    if isinstance(layer, InMemoryChannelLayer):
        yield Warning(
            "Messages reach only subscribers in the process that publishes them.",
            hint="Use sync_streams.layers.RedisChannelLayer, unless this site always "
            "runs as a single process.",
            id="sync_streams.W003",
        )
    elif not settings.redis_url and not isinstance(layer, RedisChannelLayer):
        yield Warning(
            "Each process counts a Stream's publish rate separately.",
            hint='Set SYNC_STREAMS["REDIS_URL"].',
            id="sync_streams.W004",
        )


def _descriptors(settings: Settings) -> Iterator[CheckMessage]:
    # The hard limit: a service manager may give a worker more than this shell has.
    most = descriptors.limit(is_hard=True)
    if most is not None and most < settings.max_connections:
        yield Warning(
            f"MAX_CONNECTIONS is {settings.max_connections}, but this process can have "
            f"at most {most} file descriptors.",
            hint="Raise RLIMIT_NOFILE: LimitNOFILE in systemd, ulimit -n in a shell.",
            id="sync_streams.W009",
        )


def _secrets(settings: Settings) -> Iterator[CheckMessage]:
    try:
        accounts = list(settings.accounts.values())
    except Exception:
        return  # the other check reports it
    if not accounts:
        yield Warning(
            "No account is configured, so nobody can connect.",
            hint='Set SYNC_STREAMS["ACCOUNTS"].',
            id="sync_streams.W005",
        )
    for account in accounts:
        secrets = (account.auth_token, *account.api_keys.values())
        if any(secret.startswith(PLACEHOLDER) for secret in secrets):
            yield Error(
                f"A secret of {account.sid} is a placeholder of the documentation.",
                hint="Generate a new one with Python's secrets.token_hex(16).",
                id="sync_streams.E008",
            )
