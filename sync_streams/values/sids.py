"""String identifiers in Twilio's form: two letters and 32 hex digits.

See https://www.twilio.com/docs/glossary/what-is-a-sid.
"""

import re
from hashlib import sha256
from secrets import token_hex
from typing import Literal

Prefix = Literal["AC", "IS", "TO", "TZ", "SK", "RQ"]
"""Account, Service, Stream, Message, API key, request."""

NAME_DIGITS = 16
"""Hex digits at the end of a named Stream's SID that depend on its name."""

_SID = re.compile(r"[A-Z]{2}[a-f0-9]{32}")


def new_sid(prefix: Prefix) -> str:
    """Return a new random SID, 34 characters, lower-case hex."""
    return prefix + token_hex(16)


def new_service_sid() -> str:
    """Return a new SID for a Service."""
    return new_sid("IS")


def new_stream_sid() -> str:
    """Return a new SID for a Stream."""
    return new_sid("TO")


def new_named_stream_sid(service_sid: str, unique_name: str) -> str:
    """Return a new SID for a Stream, half of which is derived from its name.

    Successive Streams with the same name differ in the other half.
    """
    name = sha256(f"{service_sid}\n{unique_name}".encode()).hexdigest()
    return f"TO{token_hex(8)}{name[:NAME_DIGITS]}"


def name_digits(sid: str) -> str:
    """Return the digits that the SIDs of all Streams with one unique name share.

    For a Stream without a name, they are its own. A shorter text is returned unchanged.
    """
    return sid[-NAME_DIGITS:]


def is_sid(text: str, prefix: Prefix | None = None) -> bool:
    """Return whether *text* has the form of a SID, with that prefix if given."""
    return bool(_SID.fullmatch(text)) and (prefix is None or text.startswith(prefix))
