"""Webhook: one POST, and Twilio's signature of it.

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
    """What is sent where; no secret is in it, so that any queue may carry it."""

    url: str
    """The Service's ``webhook_url``."""

    account_sid: str
    """Account whose auth token signs."""

    service_sid: str
    """Service whose endpoint this is."""

    parameters: Mapping[str, str]
    """The form's fields, ``EventType`` among them."""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make a webhook of what :meth:`to_dict` returned, also via JSON."""
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict that JSON can carry."""
        return asdict(self)

    @property
    def subject(self) -> str:
        """Return what the event is about: events with one subject stay in order."""
        return self.parameters.get("StreamSid") or self.parameters.get("Identity", "")

    @property
    def target(self) -> URL:
        """Return the URL to send to and to sign: as it was given, less the fragment.

        What cannot stand in a request as it is, is written in ASCII first.
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
