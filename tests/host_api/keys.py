"""Accounts of a host project that keeps them elsewhere: ``ACCOUNTS`` as a function."""

from tests.settings import ACCOUNT_SID, AUTH_TOKEN

OLD_KEY = "SK" + "0" * 32
NEW_KEY = "SK" + "1" * 32
OLD = {OLD_KEY: "the-old-secret-the-old-secret-the-old-secret"}
NEW = {NEW_KEY: "the-new-secret-the-new-secret-the-new-secret"}

api_keys: dict[str, str] = {}
asked: list[None] = []


def accounts() -> dict[str, dict[str, object]]:
    asked.append(None)
    return {ACCOUNT_SID: {"AUTH_TOKEN": AUTH_TOKEN, "API_KEYS": dict(api_keys)}}


def failing() -> dict[str, dict[str, object]]:
    raise OSError("the accounts are away")
