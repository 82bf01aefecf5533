"""Watches what tests and their servers log: no secret, no access token, no Message."""

import logging
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from tests import settings

TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
"""Any access token."""

SECRETS = frozenset(
    value
    for name, value in vars(settings).items()
    if name.endswith(("AUTH_TOKEN", "API_KEY_SECRET", "SECRET_KEY"))
)


MESSAGE = "said-to-those-who-may-hear-it"
"""Part of the data that tests publish to servers."""

SECRET_NAME = re.compile(r"(AUTH_TOKEN|SECRET|SECRET_KEY|PASSWORD)$")
URL_PASSWORD = re.compile(r"://[^/@:\s]*:([^/@\s]+)@")
BANNER = re.compile(r"^Page: .*?^Ctrl-C ends[^\n]*$", re.MULTILINE | re.DOTALL)
"""The demo site's start-up message, which shows its credentials to the user."""

MIN_LENGTH = 8
"""Minimum length of a secret: a shorter one may be a word that a log needs."""


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """Return the secrets in a server's environment, and the passwords in its URLs."""
    found = {value for name, value in environ.items() if SECRET_NAME.search(name)}
    if "SYNC_AUTH_TOKEN" in environ:
        login = f"{environ.get('SYNC_ACCOUNT_SID')}:{environ['SYNC_AUTH_TOKEN']}"
        found.add(b64encode(login.encode()).decode())
    passwords = set(URL_PASSWORD.findall("\n".join(environ.values())))
    found |= passwords | set(map(unquote, passwords))
    return {secret for secret in found if len(secret) >= MIN_LENGTH}


def revealed(output: str, secrets: Iterable[str]) -> list[str]:
    """Return the lines of a server's output that reveal something, without it."""
    output = BANNER.sub("", output)
    hidden = [re.escape(text) for text in {*secrets, *SECRETS, MESSAGE}]
    pattern = re.compile("|".join([TOKEN.pattern, *hidden]))
    lines = (line for line in output.splitlines() if pattern.search(line))
    return [pattern.sub("…", line)[:300] for line in lines]


class Watch(logging.Handler):
    """Keeps each line that reveals a secret."""

    def __init__(self, *others: str) -> None:
        super().__init__(logging.DEBUG)
        self._secrets = SECRETS | {MESSAGE, *others}
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if TOKEN.search(text) or any(secret in text for secret in self._secrets):
            self.found.append(text)


@contextmanager
def watching(logger: str, *others: str, level: int = 0) -> Iterator[Watch]:
    """Watch a logger, at its own level or another.

    Args:
        logger: its name; empty: every logger's.
        others: further texts that must not be logged.
        level: the level to watch.
    """
    watched, watch = logging.getLogger(logger), Watch(*others)
    before = watched.level
    watched.addHandler(watch)
    if level:
        watched.setLevel(level)
    try:
        yield watch
    finally:
        watched.removeHandler(watch)
        watched.setLevel(before)
