"""Rules for the values that Services and Streams are given.

Limits as published at https://www.twilio.com/docs/sync/limits and in the error
dictionary, https://www.twilio.com/docs/api/errors.
"""

from datetime import datetime, timedelta
from typing import TypedDict
from urllib.parse import urlsplit

from .addresses import is_inside
from .conf import get_settings
from .errors import (
    InvalidFriendlyName,
    InvalidParameter,
    InvalidTtl,
    InvalidUniqueName,
    InvalidWebhookUrl,
)
from .models import MAX_DEBOUNCING_WINDOW_MS, MIN_DEBOUNCING_WINDOW_MS
from .sids import is_sid

MAX_TTL_SECONDS = 31_536_000
MAX_UNIQUE_NAME_LENGTH = 320
MAX_FRIENDLY_NAME_LENGTH = 255
MAX_WEBHOOK_URL_LENGTH = 2048


class ServiceFields(TypedDict, total=False):
    """What may be set on a Service; what is left out stays as it is."""

    friendly_name: str | None
    """1 to 255 characters, or none (54053)."""

    webhook_url: str | None
    """Absolute http or https URL, or none (54051)."""

    webhooks_from_rest_enabled: bool
    reachability_webhooks_enabled: bool
    acl_enabled: bool
    reachability_debouncing_enabled: bool
    reachability_debouncing_window: int
    """1,000 to 30,000 milliseconds (20001)."""


def check_service_fields(fields: ServiceFields) -> None:
    """Check what a Service is about to be given.

    Raises:
        InvalidFriendlyName: 54053.
        InvalidWebhookUrl: 54051, also for an address that is not public, unless
            ``webhook_allow_private``.
        InvalidParameter: 20001, for the debouncing window.
    """
    name, url = fields.get("friendly_name"), fields.get("webhook_url")
    if name is not None and not (
        1 <= len(name) <= MAX_FRIENDLY_NAME_LENGTH and is_storable(name)
    ):
        raise InvalidFriendlyName
    if url is not None:
        _check_webhook_url(url)
    window = fields.get("reachability_debouncing_window", MIN_DEBOUNCING_WINDOW_MS)
    if not MIN_DEBOUNCING_WINDOW_MS <= window <= MAX_DEBOUNCING_WINDOW_MS:
        raise InvalidParameter("Invalid ReachabilityDebouncingWindow")


def check_unique_name(name: str | None) -> None:
    """Check a Stream's unique name.

    Raises:
        InvalidUniqueName: 54302, not 1 to 320 characters, or it looks like a SID.
    """
    if name is None:
        return
    if not 1 <= len(name) <= MAX_UNIQUE_NAME_LENGTH:
        raise InvalidUniqueName
    if is_sid(name) or not is_storable(name):
        raise InvalidUniqueName


def expiry(ttl: int | None, now: datetime) -> datetime | None:
    """Return when a Stream with this TTL lapses; ``None`` or 0 seconds: never.

    Raises:
        InvalidTtl: 54011, not 0 to 31,536,000 seconds.
    """
    if ttl is None:
        return None
    if not 0 <= ttl <= MAX_TTL_SECONDS:
        raise InvalidTtl
    return now + timedelta(seconds=ttl) if ttl else None


def is_storable(text: str) -> bool:
    """Tell whether every database takes the text: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _check_webhook_url(url: str) -> None:
    # urlsplit drops line breaks in silence, and reads a port only when asked for it.
    if len(url) > MAX_WEBHOOK_URL_LENGTH or not url.isprintable() or " " in url:
        raise InvalidWebhookUrl
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidWebhookUrl from error
    if not host or port == 0 or parts.scheme not in {"http", "https"}:
        raise InvalidWebhookUrl
    if is_inside(host) and not get_settings().webhook_allow_private:
        raise InvalidWebhookUrl("Invalid webhook URL: its address is not public")
