"""Accounts: the SIDs and secrets in ``SYNC_STREAMS["ACCOUNTS"]``.

A secret that is unset, not text, or too short is left out, so that it authenticates
nobody. The account records why, and the system checks and the log repeat it. The
``repr`` of a secret, or of anything that contains one, hides it, so it appears in no
traceback, debug page or error report. :class:`Given` hides values not yet read.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .sids import Prefix, is_sid

logger = logging.getLogger("sync_streams.accounts")

SETTING = "SYNC_STREAMS['ACCOUNTS']"

MIN_SECRET_LENGTH = 32
"""Characters in a secret: HS256 needs a key of 32 bytes (RFC 7518, section 3.2)."""

_WITH_PASSWORD = re.compile(r"://\S*@|password=")
"""What a URL with a password contains, before its host or after its ``?``."""


class Secret(str):
    """Text whose ``repr`` does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


def hide(value: object) -> object:
    """Return text as a :class:`Secret`, and anything else unchanged."""
    return Secret(value) if isinstance(value, str) else value


def hide_passwords(value: Any, name: object = "") -> Any:
    """Return a setting with each password, and each URL with one, as a :class:`Secret`.

    Args:
        value: text, or lists, tuples and dicts of it.
        name: the key that it stands under.
    """
    if type(value) is str:
        is_password = "password" in str(name).lower()
        return hide(value) if is_password or _WITH_PASSWORD.search(value) else value
    if type(value) is dict:
        return {key: hide_passwords(one, key) for key, one in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(hide_passwords(one) for one in value)
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One account and its secrets. It never sees anything of another account."""

    sid: str
    """Account SID: ``AC`` and 32 hex digits."""

    auth_token: Secret
    """REST password of the account SID, and key of webhook signatures. May be empty."""

    api_keys: Mapping[str, Secret]
    """API keys: SID (``SK…``) to secret. A key's secret signs access tokens."""

    faults: tuple[str, ...] = ()
    """One sentence for each secret that was left out: which one, and why."""


class Given:
    """A value from the host project's settings that has not been checked yet."""

    __slots__ = ("_value", "name")

    def __init__(self, value: object, name: str) -> None:
        """Hold *value*; sentences about it begin with *name*."""
        self._value = value
        self.name = name

    def mapping(self) -> Mapping[Any, Any]:
        """Return the mapping; keep it out of variables, which error reports show.

        Raises:
            ImproperlyConfigured: it is not a mapping.
        """
        if isinstance(self._value, Mapping):
            return self._value
        raise ImproperlyConfigured(f"{self.name} is {_kind(self._value)}, not a dict.")

    def at(self, key: object, name: str, default: object = None) -> "Given":
        """Return the value under a key; raises what :meth:`mapping` raises."""
        return Given(self.mapping().get(key, default), name)

    def function(self) -> Callable[[], object] | None:
        """Return the value if it is a function."""
        return self._value if callable(self._value) else None

    def fault(self) -> str:
        """Return why the value cannot be a secret; empty if it can."""
        if self._value is None:
            return f"{self.name} is not set."
        if not isinstance(self._value, str):
            return f"{self.name} is not text, but {_kind(self._value)}."
        if not self._value:
            return f"{self.name} is empty."
        if len(self._value) < MIN_SECRET_LENGTH:
            return f"{self.name} has fewer than {MIN_SECRET_LENGTH} characters."
        return ""

    def secret(self) -> Secret:
        """Return the value as a secret, empty if it cannot be one."""
        return Secret("" if self.fault() else self._value)


class LiveAccounts(Mapping[str, Account]):
    """Accounts that are loaded again for each lookup, since keys come and go."""

    def __init__(self, load: Callable[[], object]) -> None:
        """Call *load* for each lookup."""
        self._load = load

    def __getitem__(self, sid: str) -> Account:
        given = self._given()
        if sid not in given.mapping():
            raise KeyError(sid)
        return _read_account(sid, given)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given().mapping())

    def __len__(self) -> int:
        return len(self._given().mapping())

    def _given(self) -> Given:
        return Given(self._load(), f"{SETTING}()")


def read_accounts(given: Given) -> Mapping[str, Account]:
    """Return the accounts in the settings; a function is called for each lookup.

    Raises:
        ImproperlyConfigured: their shape is not ``{"AC…": {"AUTH_TOKEN": "…",
            "API_KEYS": {"SK…": "…"}}}``. What a function returns is checked later.
    """
    load = given.function()
    if load is not None:
        return LiveAccounts(load)
    return {sid: _read_account(sid, given) for sid in given.mapping()}


def _read_account(sid: object, accounts: Given) -> Account:
    whose = f"account {_sid(sid, 'AC', accounts.name)}"
    given = accounts.at(sid, f"{SETTING}: {whose}")
    auth_token = given.at("AUTH_TOKEN", f"AUTH_TOKEN of {whose}")
    keys = given.at("API_KEYS", f"API_KEYS of {whose}", {})
    api_keys = {
        key_sid: keys.at(
            key_sid, f"Secret of {_sid(key_sid, 'SK', keys.name)}, {whose}"
        )
        for key_sid in keys.mapping()
    }
    faults = [secret.fault() for secret in (auth_token, *api_keys.values())]
    account = Account(
        sid=str(sid),
        auth_token=auth_token.secret(),
        api_keys={sid: key.secret() for sid, key in api_keys.items() if key.secret()},
        faults=tuple(filter(None, faults)),
    )
    for fault in account.faults:
        _tell(fault)
    return account


def _sid(value: object, prefix: Prefix, where: str) -> str:
    """Return a SID for use in a message; anything else may be a misplaced secret."""
    if not isinstance(value, str) or not value:
        given = "empty" if value == "" else _kind(value)
        raise ImproperlyConfigured(
            f"A SID in {where} is {given}: is its environment variable set?"
        )
    return value if is_sid(value, prefix) else f"{prefix}…"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


@lru_cache(maxsize=128)
def _tell(fault: str) -> None:
    # Logged once: accounts from a function are read for each request.
    logger.error("%s It is never accepted.", fault)
