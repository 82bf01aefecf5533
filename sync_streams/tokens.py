"""Access tokens: Twilio's JWTs, which say who may connect to which Service.

HS256 (RFC 7519), signed with an API key's secret. Tokens from Twilio's helper libraries
and from :func:`issue_token` are equivalent.
See https://www.twilio.com/docs/iam/access-tokens.
"""

import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from django.core.exceptions import ImproperlyConfigured

from .conf import Settings, get_settings
from .errors import (
    InvalidToken,
    InvalidTokenGrants,
    InvalidTokenHeader,
    InvalidTokenIssuer,
    InvalidTokenSignature,
    TokenExpired,
    TokenNotYetValid,
)
from .values.accounts import Account, Secret

MAX_TOKEN_BYTES = 8192
MAX_LIFETIME_SECONDS = 86_400
CLOCK_SKEW_SECONDS = 60
"""How far an issuer's clock may run ahead before a 24 hour token is too long."""

MAX_IDENTITY_LENGTH = 256

KNOWN_KEYS_SECONDS = 1
"""Time for which an account's keys are cached for open connections."""

CONTENT_TYPE = "twilio-fpa;v=1"
"""``cty`` in an access token's header, which tells it from other JWTs."""

_HEADER = {"typ": "JWT", "alg": "HS256", "cty": CONTENT_TYPE}

_UNREADABLE = (
    jwt.PyJWTError,
    *(ValueError, TypeError, ArithmeticError, RecursionError),  # by odd claims
)

# No database stores a lone surrogate, and PostgreSQL stores no NUL.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who is connected to what, according to an access token."""

    name: str
    """The identity, 1 to 256 characters."""

    account_sid: str
    """SID of the account."""

    service_ref: str
    """The Service in the grant: a SID, a unique name or ``default``."""

    key_sid: str
    """SID of the API key that signed the token."""

    expires_at: int
    """When the token expires, in seconds since 1970."""

    is_read_only: bool = False
    """The grant contains ``"read_only": true``: the client may subscribe but not change
    or publish anything (54007). Our extension: Twilio's tokens never contain it."""

    is_observer: bool = False
    """The grant contains ``"observer": true``: an operator is watching. Not counted as
    a subscriber, nor reported by reachability webhooks. Our extension."""


def read_token(token: object) -> Identity:
    """Verify an access token and return the identity in it.

    Raises:
        InvalidToken: 20101 to 20107, depending on what is wrong with it.
    """
    # Accept only ASCII: a lone surrogate would make PyJWT raise UnicodeEncodeError.
    if not isinstance(token, str) or not token.isascii():
        raise InvalidToken
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken
    token = Secret(token)  # debug pages and error reports show variables
    account, key_sid = _issuer(token)
    return _identity(_claims(token, account.api_keys[key_sid]), account, key_sid)


def issue_token(
    identity: str,
    service_sid: str,
    *,
    account_sid: str = "",
    ttl: int = 3600,
    is_read_only: bool = False,
    is_observer: bool = False,
) -> str:
    """Issue an access token, signed with the account's first API key.

    Args:
        identity: the client's identity, 1 to 256 characters.
        service_sid: the Service's SID, unique name, or ``default``.
        account_sid: the account; by default the first one in the settings.
        ttl: seconds until the token expires, at most 86,400.
        is_read_only: allow subscribing, but no changes and no publishing (54007).
        is_observer: for an operator who is watching: not counted as a subscriber, and
            not reported by reachability webhooks.

    Raises:
        ValueError: the identity or the ttl is out of range, so the token would be
            refused.
        ImproperlyConfigured: there is no such account, or it has no API key with a
            secret of at least 32 characters.
    """
    if not 1 <= len(identity) <= MAX_IDENTITY_LENGTH:
        raise ValueError(f"identity must have 1 to {MAX_IDENTITY_LENGTH} characters")
    if not 1 <= ttl <= MAX_LIFETIME_SECONDS:
        raise ValueError(f"ttl must be 1 to {MAX_LIFETIME_SECONDS} seconds")
    account, key_sid, secret = _signing_key(account_sid)
    now = int(time.time())
    grant: dict[str, str | bool] = {"service_sid": service_sid}
    if is_read_only:
        grant["read_only"] = True
    if is_observer:
        grant["observer"] = True
    return jwt.encode(
        {
            "jti": f"{key_sid}-{now}",
            "iss": key_sid,
            "sub": account.sid,
            "iat": now,
            "exp": now + ttl,
            "grants": {"identity": identity, "data_sync": grant},
        },
        secret,
        algorithm="HS256",
        headers={"cty": CONTENT_TYPE},
    )


def has_key(identity: Identity) -> bool:
    """Return whether the API key that signed the identity's token still exists.

    The answer may be a second old: every open connection is checked, and the host
    project's function for accounts must not be called for each.
    """
    settings, now = get_settings(), time.monotonic()
    known = _known_keys.get(identity.account_sid)
    if known is None or known.settings is not settings or known.until < now:
        account = settings.accounts.get(identity.account_sid)
        keys = frozenset(account.api_keys if account else ())
        known = _KnownKeys(settings, now + KNOWN_KEYS_SECONDS, keys)
        _known_keys[identity.account_sid] = known
    return identity.key_sid in known.keys


def signing_secret(identity: Identity) -> Secret | None:
    """Return the secret of the API key that signed the identity's token, if any."""
    account = get_settings().accounts.get(identity.account_sid)
    return account.api_keys.get(identity.key_sid) if account else None


@dataclass(frozen=True, slots=True)
class _KnownKeys:
    settings: Settings
    until: float
    keys: frozenset[str]


_known_keys: dict[str, _KnownKeys] = {}


def _signing_key(account_sid: str) -> tuple[Account, str, Secret]:
    accounts = get_settings().accounts
    account = accounts.get(account_sid or next(iter(accounts), ""))
    if account is None or not account.api_keys:
        which = account_sid or "The first account"
        why = " ".join(account.faults) if account else ""
        raise ImproperlyConfigured(
            f"{which} has no API key in SYNC_STREAMS. {why}".strip()
        )
    key_sid, secret = next(iter(account.api_keys.items()))
    return account, key_sid, secret


def _issuer(token: str) -> tuple[Account, str]:
    try:
        header, claims = map(_read_part, token.split(".")[:2])
    except _UNREADABLE as error:
        raise InvalidToken from error
    if not _HEADER.items() <= header.items():
        raise InvalidTokenHeader
    account_sid, key_sid = claims.get("sub"), claims.get("iss")
    if not isinstance(account_sid, str) or not isinstance(key_sid, str):
        raise InvalidTokenIssuer
    account = get_settings().accounts.get(account_sid)
    if account is None or key_sid not in account.api_keys:
        raise InvalidTokenIssuer
    return account, key_sid


def _read_part(part: str) -> dict[str, Any]:
    # Only to find the key to verify with. PyJWT then parses everything strictly; doing
    # that here as well would take ten times as long.
    data = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(data, dict):
        raise TypeError(part)
    return data


def _claims(token: str, secret: str) -> dict[str, Any]:
    try:
        # We choose the algorithm; the header never does.
        return jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            options={"require": ["exp"], "verify_iat": False, "verify_aud": False},
        )
    except jwt.InvalidSignatureError as error:
        raise InvalidTokenSignature from error
    except jwt.ExpiredSignatureError as error:
        raise TokenExpired from error
    except jwt.ImmatureSignatureError as error:
        raise TokenNotYetValid from error
    except _UNREADABLE as error:
        raise InvalidToken from error


def _identity(claims: Mapping[str, Any], account: Account, key_sid: str) -> Identity:
    expires_at = int(claims["exp"])
    if expires_at > time.time() + MAX_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS:
        raise TokenExpired
    name, grant = _grants(claims.get("grants"))
    return Identity(
        name=name,
        account_sid=account.sid,
        service_ref=grant["service_sid"],
        key_sid=key_sid,
        expires_at=expires_at,
        # Any other value was meant to remove rights, not to grant them.
        is_read_only=grant.get("read_only", False) is not False,
        is_observer=grant.get("observer") is True,
    )


def _grants(grants: object) -> tuple[str, dict[str, Any]]:
    if not isinstance(grants, dict):
        raise InvalidTokenGrants
    name, sync = grants.get("identity"), grants.get("data_sync")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_IDENTITY_LENGTH:
        raise InvalidTokenGrants
    if _UNSTORABLE.search(name):
        raise InvalidTokenGrants
    if not isinstance(sync, dict) or not isinstance(sync.get("service_sid"), str):
        raise InvalidTokenGrants
    return name, sync
