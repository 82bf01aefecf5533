"""String identifiers in Twilio's form: two letters and 32 hex digits.

See https://www.twilio.com/docs/glossary/what-is-a-sid.
"""

import re
from secrets import token_hex
from typing import Literal

Prefix = Literal["AC", "IS", "TO", "TZ", "SK", "RQ"]
"""Account, Service, Stream, Message, API key, request."""

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


def is_sid(text: str, prefix: Prefix | None = None) -> bool:
    """Return whether *text* has the form of a SID, with that prefix if given."""
    return bool(_SID.fullmatch(text)) and (prefix is None or text.startswith(prefix))
