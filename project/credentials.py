"""Secrets of the demo site, generated on the first run and kept in one file.

The file holds ``NAME=value`` lines that a shell can read. The environment takes
precedence.
"""

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

FILE_NAME = "credentials.env"

_MAKERS: Mapping[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "SYNC_ACCOUNT_SID": lambda: "AC" + secrets.token_hex(16),
    "SYNC_AUTH_TOKEN": lambda: secrets.token_hex(16),
    "SYNC_API_KEY_SID": lambda: "SK" + secrets.token_hex(16),
    "SYNC_API_KEY_SECRET": lambda: secrets.token_hex(16),
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}


class CredentialsIncomplete(Exception):
    """The file lacks a secret that this version of the demo site needs."""


def load(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return all secrets by name, from the environment or the file in *folder*.

    Raises:
        OSError: the folder or the file cannot be read or written.
        CredentialsIncomplete: the file lacks a secret.
    """
    given = {name: environ[name] for name in _MAKERS if environ.get(name)}
    if len(given) == len(_MAKERS):
        return given
    path = folder / FILE_NAME
    if not path.exists():
        _create(path)
    path.chmod(0o600)
    values = _parse(path.read_text(encoding="utf-8")) | given
    if missing := [name for name in _MAKERS if not values.get(name)]:
        names = ", ".join(missing)
        raise CredentialsIncomplete(f"{path} lacks {names}: remove it to get a new one")
    return {name: values[name] for name in _MAKERS}


def _create(path: Path) -> None:
    """Write new secrets; processes that start simultaneously end up with the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # mode 0600 from the start
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={make()}\n" for name, make in _MAKERS.items())
    try:
        with suppress(FileExistsError):
            path.hardlink_to(name)
    finally:
        Path(name).unlink()


def _parse(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
