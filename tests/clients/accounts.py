"""An account's credentials, in each of the forms in which clients present them."""

import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self

import jwt
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant

from tests import settings

CONTENT_TYPE = "twilio-fpa;v=1"
"""What Twilio's libraries write into a token's header as ``cty``."""

VARIABLES = "ACCOUNT_SID", "AUTH_TOKEN", "API_KEY_SID", "API_KEY_SECRET"
"""Of the environment, each after ``SYNC_``."""


@dataclass(frozen=True)
class Account:
    """One account with one API key."""

    sid: str
    auth_token: str
    key_sid: str
    key_secret: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the account of a site's environment variables."""
        return cls(*(environ[f"SYNC_{name}"] for name in VARIABLES))

    @property
    def login(self) -> tuple[str, str]:
        """Name and password for the REST API."""
        return self.sid, self.auth_token

    @property
    def basic(self) -> str:
        """The value of the ``Authorization`` header."""
        return basic(*self.login)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that log in to the REST API."""
        return {"Authorization": self.basic}

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables from which the demo site takes it."""
        return {
            f"SYNC_{name}": value
            for name, value in zip(VARIABLES, astuple(self), strict=True)
        }

    def token(
        self,
        identity: str = "alice",
        service: str = "default",
        *,
        ttl: int = 3600,
        **options: int,
    ) -> str:
        """Return an access token as Twilio's library makes it.

        Args:
            identity: whose it is.
            service: SID or unique name of the Service.
            ttl: its life in seconds.
            options: of the library, ``nbf`` for example.
        """
        names = self.sid, self.key_sid, self.key_secret
        token = AccessToken(*names, identity=identity, ttl=ttl, **options)
        token.add_grant(SyncGrant(service_sid=service))
        return str(token.to_jwt())

    def sign(
        self, identity: str | None = "alice", *, ttl: int = 3600, **claims: Any
    ) -> str:
        """Return an access token that the library would not issue.

        Args:
            identity: its identity; ``None``: it has none.
            ttl: its lifetime in seconds; negative: it has expired.
            claims: replace or add to those of the token.
        """
        now = int(time.time())
        grants = {"identity": identity, "data_sync": {"service_sid": "default"}}
        usual = {
            "jti": f"{self.key_sid}-{time.time_ns()}",
            "iss": self.key_sid,
            "sub": self.sid,
            "iat": now,
            "exp": now + ttl,
            "grants": grants,
        }
        headers = {"cty": CONTENT_TYPE}
        return jwt.encode({**usual, **claims}, self.key_secret, headers=headers)


def basic(name: str, password: str) -> str:
    """Return the value of an ``Authorization`` header, RFC 7617."""
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


ACCOUNT = Account(
    settings.ACCOUNT_SID,
    settings.AUTH_TOKEN,
    settings.API_KEY_SID,
    settings.API_KEY_SECRET,
)
"""The account of the tests' own settings."""

OTHER_ACCOUNT = Account(
    settings.OTHER_ACCOUNT_SID,
    settings.OTHER_AUTH_TOKEN,
    settings.OTHER_API_KEY_SID,
    settings.OTHER_API_KEY_SECRET,
)
"""An account that must see nothing of the first one."""
