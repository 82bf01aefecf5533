"""Credentials of an account, as HTTP Basic (RFC 7617) carries them in a header.

The user name is an account SID with the auth token as password, or an API key's SID
with the key's secret. See https://www.twilio.com/docs/iam/api-keys.
"""

import binascii
from base64 import b64decode
from hashlib import sha256
from hmac import compare_digest

from sync_streams.conf import get_settings
from sync_streams.errors import AuthenticationFailed
from sync_streams.operations.failures import failures
from sync_streams.values.accounts import Secret

CHALLENGE = 'Basic realm="Twilio API"'
"""Value of ``WWW-Authenticate``."""


def authenticate(header: str, address: str = "") -> str:
    """Return the SID of the account that an ``Authorization`` header authenticates.

    Raises:
        AuthenticationFailed: 20003, credentials are missing or wrong.
        TooManyRequests: 20429, too many failed attempts from this address.
    """
    header = Secret(header)  # debug pages and error reports show variables
    failures.check(address)
    try:
        return _authenticate(header)
    except AuthenticationFailed:
        failures.add(address)
        raise


def _authenticate(header: Secret) -> str:
    name, password = _read(header)
    account_sid, secret = _account(name)
    # Digests have equal lengths, and an unknown name takes as long as a known one.
    is_right = compare_digest(_digest(password), _digest(secret))
    if not (is_right and secret):
        raise AuthenticationFailed
    return account_sid


def _read(header: str) -> tuple[str, Secret]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise AuthenticationFailed
    try:
        name, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise AuthenticationFailed from error
    return name, Secret(password)


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
