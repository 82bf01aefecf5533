"""Webhook: one POST with Twilio's signature.

See https://www.twilio.com/docs/usage/webhooks/webhooks-security and
https://www.twilio.com/docs/sync/webhooks.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha1
from hmac import new as hmac
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from yarl import URL

TEXT_OF_A_URL = frozenset(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """What is sent, and where. It holds no secrets, so any queue can carry it."""

    url: str
    """The Service's ``webhook_url``."""

    account_sid: str
    """Account whose auth token signs it."""

    service_sid: str
    """Service whose event it is."""

    parameters: Mapping[str, str]
    """The form's fields, including ``EventType``."""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Create a webhook from a dict of :meth:`to_dict`, possibly sent as JSON."""
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the webhook as a dict that can be serialised as JSON."""
        return asdict(self)

    @property
    def subject(self) -> str:
        """Return the event's subject; events with the same subject stay in order."""
        return self.parameters.get("StreamSid") or self.parameters.get("Identity", "")

    @property
    def target(self) -> URL:
        """Return the URL to send to and to sign: as configured, without the fragment.

        Characters that a request cannot carry are encoded as ASCII first.
        """
        parts = urlsplit(self.url)._replace(fragment="")
        exact = urlunsplit(parts if parts.path else parts._replace(path="/"))
        return URL(exact, encoded=TEXT_OF_A_URL.issuperset(exact))

    def sign(self, auth_token: str) -> str:
        """Return the value of ``X-Twilio-Signature``."""
        pairs = sorted(self.parameters.items())
        text = str(self.target) + "".join(name + value for name, value in pairs)
        digest = hmac(auth_token.encode(), text.encode(), sha1).digest()
        return b64encode(digest).decode()
