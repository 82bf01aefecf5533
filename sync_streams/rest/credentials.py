"""Credentials of an account, as HTTP Basic (RFC 7617) carries them in a header.

The user name is an account SID with the auth token as password, or an API key's SID
with the key's secret. See https://www.twilio.com/docs/iam/api-keys.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from sync_streams.conf import get_settings
from sync_streams.errors import AuthenticationFailed
from sync_streams.operations.failures import failures
from sync_streams.values.accounts import Secret

CHALLENGE = 'Basic realm="Twilio API"'
"""Value of ``WWW-Authenticate``."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and the digest of a password."""

    name: str
    digest: bytes = field(repr=False)


def authenticate(header: str, address: str = "") -> str:
    """Return the SID of the account that an ``Authorization`` header authenticates.

    Raises:
        AuthenticationFailed: 20003, credentials are missing or wrong.
        TooManyRequests: 20429, too many failed attempts from this address.
    """
    header = Secret(header)  # debug pages and error reports show variables
    return verify(read_credentials(header), address)


def read_credentials(header: str) -> Credentials | None:
    """Return the credentials in a header; ``None`` if it has none."""
    header = Secret(header)
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Credentials(name, _digest(password))


def verify(credentials: Credentials | None, address: str = "") -> str:
    """Return the SID of the account that credentials authenticate now.

    Raises:
        AuthenticationFailed: 20003, they are missing or wrong.
        TooManyRequests: 20429, too many failed attempts from this address.
    """
    failures.check(address)
    account_sid = _find_account(credentials) if credentials is not None else ""
    if not account_sid:
        failures.add(address)
        raise AuthenticationFailed
    return account_sid


def _find_account(credentials: Credentials) -> str:
    account_sid, secret = _account(credentials.name)
    # Digests have equal lengths, and an unknown name takes as long as a known one.
    is_right = compare_digest(credentials.digest, _digest(secret))
    return account_sid if is_right and secret else ""


def _account(name: str) -> tuple[str, Secret]:
    """Return the account that a user name belongs to, and the expected password."""
    accounts = get_settings().accounts
    if name in accounts:
        return name, accounts[name].auth_token
    for account in accounts.values():
        if name in account.api_keys:
            return account.sid, account.api_keys[name]
    return "", Secret()


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
