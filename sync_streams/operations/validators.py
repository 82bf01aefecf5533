"""Rules for the values of Services and Streams.

Limits are those of https://www.twilio.com/docs/sync/limits and of the error
dictionary, https://www.twilio.com/docs/api/errors.
"""

import re
from datetime import datetime, timedelta
from typing import TypedDict
from unicodedata import category
from urllib.parse import urlsplit

from sync_streams.conf import get_settings
from sync_streams.errors import (
    InvalidFriendlyName,
    InvalidParameter,
    InvalidTtl,
    InvalidUniqueName,
    InvalidWebhookUrl,
)
from sync_streams.models import MAX_DEBOUNCING_WINDOW_MS, MIN_DEBOUNCING_WINDOW_MS
from sync_streams.values.sids import is_sid

from .addresses import is_inside

MAX_TTL_SECONDS = 31_536_000
MAX_UNIQUE_NAME_LENGTH = 320
MAX_FRIENDLY_NAME_LENGTH = 255
MAX_WEBHOOK_URL_LENGTH = 2048

# Clients remove "." and ".." segments before they send (RFC 3986, section 5.2.4) and
# would address a resource above the Stream. Twilio's own clients do not escape names in
# paths, so "/", "?", "#" and escapes in them count, as do spaces, which browsers trim.
_DOT_SEGMENT = re.compile(
    r"""
    (?: ^ | [/\\?#] | %2f | %5c ) \s*
    (?: \. | %2e ){1,2}
    \s* (?: $ | [/\\?#] | %2f | %5c )
    """,
    re.IGNORECASE | re.VERBOSE,
)

# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls, lone surrogates, line and paragraph separators."""

_UNSEEN_CATEGORIES = frozenset({"Cf", "Zs"})
"""Format characters and spaces, which are invisible."""

# These letters and marks are invisible, too, but are in other categories.
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)


class ServiceFields(TypedDict, total=False):
    """The fields of a Service that may be set; missing ones are unchanged."""

    friendly_name: str | None
    """1 to 255 characters, or ``None`` (54053)."""

    webhook_url: str | None
    """Absolute http or https URL, or ``None`` (54051)."""

    webhooks_from_rest_enabled: bool
    reachability_webhooks_enabled: bool
    acl_enabled: bool
    reachability_debouncing_enabled: bool
    reachability_debouncing_window: int
    """1,000 to 30,000 milliseconds (20001)."""


def check_service_fields(fields: ServiceFields) -> None:
    """Validate new values of a Service's fields.

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
        raise InvalidParameter(
            "Invalid ReachabilityDebouncingWindow",
            field="reachability_debouncing_window",
        )


def check_unique_name(name: str | None) -> None:
    """Validate a Stream's unique name.

    Raises:
        InvalidUniqueName: 54302: it does not have 1 to 320 characters, looks like a
            SID, does not survive in a URL (``.``, ``..``, ``../x``), is invisible (only
            white space), or contains control characters, including those of writing
            direction.
    """
    if name is None:
        return
    if not 1 <= len(name) <= MAX_UNIQUE_NAME_LENGTH:
        raise InvalidUniqueName
    if is_sid(name) or _DOT_SEGMENT.search(name) or not _is_legible(name):
        raise InvalidUniqueName


def expiry(ttl: int | None, now: datetime) -> datetime | None:
    """Return when a Stream with this TTL expires; for ``None`` or 0, never (``None``).

    Raises:
        InvalidTtl: 54011, not 0 to 31,536,000 seconds.
    """
    if ttl is None:
        return None
    if not 0 <= ttl <= MAX_TTL_SECONDS:
        raise InvalidTtl
    return now + timedelta(seconds=ttl) if ttl else None


def is_storable(text: str) -> bool:
    """Return whether every database can store the text: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _is_legible(name: str) -> bool:
    if name.isascii():
        return name.isprintable() and not name.isspace()
    if any(_is_unwanted(char) for char in name):
        return False
    return any(
        category(char) not in _UNSEEN_CATEGORIES for char in _BLANKS.sub("", name)
    )


def _is_unwanted(char: str) -> bool:
    return char in _BIDI_CONTROLS or category(char) in _REFUSED_CATEGORIES


def _check_webhook_url(url: str) -> None:
    # urlsplit silently drops line breaks, and parses a port only on access.
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
