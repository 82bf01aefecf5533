"""Settings of the app: the ``SYNC_STREAMS`` dict of the host project, typed.

The only module that reads ``django.conf.settings``. Read values where they are used,
``get_settings().publish_rate``, so that overriding them in a test takes effect.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .values.accounts import SETTING, Account, Given, hide_passwords, read_accounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every setting; the keys of ``SYNC_STREAMS`` are these names in upper case."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    """``{"AC…": {"AUTH_TOKEN": "…", "API_KEYS": {"SK…": "secret"}}}``, or a function
    that returns it, or the function's dotted path, for keys that change while the
    server runs. The function is called for each request, so it must be fast."""

    public_url: str = ""
    """Origin of the URLs in responses. Empty: that of the request."""

    redis_url: str = field(default="", repr=False)
    """URL of the Redis that counts the publish rate for all processes. Empty: each
    process counts on its own."""

    prefix: str = ""
    """Prefix of this site's groups and Redis keys: letters, digits, ``_``, ``-`` and
    full stops. Empty: derived from ``SECRET_KEY``, the name of the default database and
    the database number in ``redis_url``, so that sites can share a Redis. Processes
    that agree on all three belong to the same site."""

    authorize: str | Callable[..., object] = ""
    """Function ``(identity, action, stream or unique_name) -> bool``, sync or async, or
    its dotted path, that decides what access tokens may do. Empty: everything is
    allowed."""

    max_services_per_account: int = 0
    """Services that one account may create; above it, 403/20403. ``default``, which the
    server itself creates, is exempt. 0: any number."""

    max_streams_per_account: int = 0
    """Live Streams that one account may have; above it, 403/20403. They are counted at
    each creation, so a limit of a million makes creating slower. 0: any number."""

    publish_rate: int = 30
    """Messages a second that one Stream accepts (Twilio: 30)."""

    publish_window_seconds: float = 1
    """Window in which the rate is counted; it accepts ``publish_rate`` × its length
    Messages (Twilio: 10 s)."""

    max_subscriptions: int = 2000
    """Streams that one connection may subscribe to (Twilio: 2,000; error 54419)."""

    max_connections: int = 20_000
    """Connections of one process; above it, new clients are told when to retry."""

    max_connects_per_second: int = 1000
    """Connections that one process accepts in a second (Twilio: 1,000)."""

    max_connections_per_identity: int = 0
    """Connections of one identity of a Service in one process; 0: any number."""

    max_connections_per_account: int = 0
    """Connections of one account in one process; 0: any number."""

    max_connections_per_address: int = 0
    """Connections of one IP address in one process; 0: any number. The server must see
    client addresses (``--proxy-headers``)."""

    max_failed_logins_per_minute: int = 0
    """Wrong access tokens and REST credentials from one IP address in a minute; above
    it, the address gets 429/20429 for the rest of the minute. 0: any number."""

    max_lag_seconds: float = 1
    """Delay of the event loop above which new clients are told when to retry."""

    drain_seconds: float = 10
    """Time over which a stopping process closes its connections."""

    max_frame_bytes: int = 65_536
    """Size of one inbound frame."""

    max_frames_per_second: int = 500
    """Frames a second that one connection may send (Twilio: 500), in bursts of 2 s."""

    max_bytes_per_second: int = 4_194_304
    """Bytes a second that one connection may send, in bursts of 2 s, on the server
    classes of this package; above it, it is closed (4004)."""

    max_http_connections: int = 1024
    """HTTP connections of one process, served by ``sync_streams.uvicorn``. Above it,
    the address with the most of them loses the one that has gone longest without a
    complete request."""

    max_requests: int = 32
    """Requests that Django handles at the same time in one process: 4 that compute, and
    up to this many if they wait for something else, such as a database. The process
    keeps as many threads, each with its own database connection if ``CONN_MAX_AGE``
    keeps connections open."""

    max_waiting_requests: int = 256
    """Requests that may wait for one of these places, at most half of them from one
    address; above it 503/20503 with ``Retry-After``."""

    max_body_bytes: int = 262_144
    """Size of a request's body; above it 413/54006."""

    upload_paths: Mapping[str, int] = field(default_factory=dict)
    """Larger body sizes for the project's own views: ``{"/media/": 10_000_000}``."""

    allowed_origins: Sequence[str] = ()
    """Origins of pages that may open sockets (``https://app.example``). Empty: any,
    since the access token, not a cookie, identifies the client."""

    connect_timeout_seconds: float = 5
    """Time in which a new socket must present its access token."""

    outbox_max_messages: int = 256
    """Frames that wait for one connection; above it the oldest Message is dropped."""

    outbox_max_bytes: int = 262_144
    """Bytes that wait for one connection; above it the oldest Message is dropped."""

    in_flight_max_bytes: int = 262_144
    """Bytes that may be sent to a connection and not yet acknowledged."""

    stuck_timeout_seconds: float = 30
    """Time after which a connection that acknowledges nothing is closed."""

    keepalive_seconds: float = 25
    """Silence after which the server checks whether a client is still connected."""

    cache_seconds: float = 10
    """Longest time for which a process caches a Stream. It learns of removals and
    changes immediately; this is for changes made directly in the database."""

    expiry_interval_seconds: float = 5
    """Average time between two clean-ups of expired Streams in a server process. 0: no
    clean-ups. Expiry itself does not depend on it: expired Streams cannot be used."""

    webhook_messages: bool = False
    """Whether each Message sends a webhook, ``stream_message_published``."""

    webhook_queue_size: int = 1000
    """Webhooks of one Service that may wait in a process; above it, new ones are
    dropped."""

    webhook_allow_private: bool = False
    """Whether webhooks may go to private, loopback and link-local addresses."""

    webhook_sender: str | Callable[[dict[str, Any]], object] = ""
    """Function, or its dotted path, that receives each webhook as a dict and enqueues a
    task that calls ``sync_streams.webhooks.sender.deliver`` with it. Empty: the process
    sends webhooks itself."""

    probe_seconds: float = 5
    """How often a process checks that what is sent to its groups reaches it."""

    unreachable_timeout_seconds: float = 60
    """Time after which an unreachable process closes its connections."""

    gc_threshold: tuple[int, int, int] | None = (10_000, 10, 10)
    """Thresholds of Python's garbage collector in a process that serves connections: a
    full collection for each million surviving objects. ``None``: Python's own."""

    broadcast_timeout_seconds: float = 2
    """Time in which the channel layer must accept a Message, and in which a process
    that is behind must first catch up; above it, publishing fails with 503/20503."""


RENAMED = {
    "CANARY_SECONDS": "PROBE_SECONDS",
    "DEAF_TIMEOUT_SECONDS": "UNREACHABLE_TIMEOUT_SECONDS",
    "LOOKUP_SECONDS": "CACHE_SECONDS",
}
"""Keys of earlier releases; they still work in this one, with a warning."""


def imported(setting: Any) -> Any:
    """Return the object that a setting names by dotted path, or the setting itself.

    Raises:
        ImproperlyConfigured: it cannot be imported.
    """
    try:
        return import_string(setting) if isinstance(setting, str) else setting
    except ImportError as error:
        raise ImproperlyConfigured(str(error)) from error


def django_setting(name: str) -> Any:
    """Return one of Django's own settings, by its name."""
    return getattr(settings, name)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings in force.

    Raises:
        ImproperlyConfigured: ``SYNC_STREAMS`` has an unknown key, or accounts of the
            wrong shape.
    """
    # Keep secrets out of variables, since debug pages show them.
    known = {field.name.upper(): field.name for field in fields(Settings)}
    for key in _given().keys() - known.keys() - RENAMED.keys():
        similar = get_close_matches(key, known, n=1)
        hint = f" Did you mean {similar[0]}?" if similar else ""
        raise ImproperlyConfigured(f"SYNC_STREAMS has an unknown key {key}.{hint}")
    for key in _given().keys() & RENAMED.keys():
        text = f"SYNC_STREAMS['{key}'] is now called {RENAMED[key]}."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    # A value under its new name comes last, so it wins.
    keys = sorted(_given(), key=lambda key: key not in RENAMED)
    accounts = Given(_imported_accounts(), SETTING)
    redis_url = hide_passwords(str(_given().get("REDIS_URL") or ""))
    prefix = _given().get("PREFIX") or _derived_prefix(redis_url)
    return Settings(
        **{known[RENAMED.get(key, key)]: _given()[key] for key in keys}
        | {"accounts": read_accounts(accounts), "prefix": prefix}
        | {"redis_url": redis_url}
    )


def has_users() -> bool:
    """Tell whether Django REST framework finds its class of anonymous users.

    The default is in ``django.contrib.auth``, which a site need not have installed.
    """
    given = getattr(settings, "REST_FRAMEWORK", {})
    is_default = "UNAUTHENTICATED_USER" not in given
    return apps.is_installed("django.contrib.auth") or not is_default


def _imported_accounts() -> Any:
    try:
        return imported(_given().get("ACCOUNTS", {}))
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"{SETTING}: {error}") from error


def _given() -> Mapping[str, Any]:
    return Given(getattr(settings, "SYNC_STREAMS", {}), "SYNC_STREAMS").mapping()


# Constant while a process runs: overriding settings in a test must not separate
# publishers from the groups that subscribers have joined.
@lru_cache(maxsize=1)
def _derived_prefix(redis_url: str) -> str:
    # Redis publishes across its databases, so the prefix has to tell them apart.
    database = getattr(settings, "DATABASES", {}).get("default", {}).get("NAME", "")
    number = urlsplit(redis_url).path
    try:
        secret = settings.SECRET_KEY
    except ImproperlyConfigured:
        secret = ""
    parts = "\n".join((str(secret), str(database), number))
    return f"sync_streams.{sha256(parts.encode()).hexdigest()[:12]}"


def hide_settings() -> None:
    """Keep Redis passwords out of debug pages and error mails.

    These show all settings, and Django hides only those with telling names, unlike
    ``REDIS_URL`` and the channel layer's ``hosts``. The values stay equal.
    """
    for name in ("SYNC_STREAMS", "CHANNEL_LAYERS"):
        given = getattr(settings, name, None)
        if type(given) is dict:
            given.update(hide_passwords(given))


def on_setting_changed(*, setting: str, **_: object) -> None:
    """Read the settings again: a test overrides them."""
    if setting in {"SECRET_KEY", "DATABASES"}:
        forget_prefix()
    elif setting == "SYNC_STREAMS":
        get_settings.cache_clear()


def forget_prefix(**_: object) -> None:
    """Derive the prefix again: a test runner has renamed the database."""
    _derived_prefix.cache_clear()
    get_settings.cache_clear()
