"""Migrated databases: created once in each process, and copied."""

import atexit
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests import zygote

SETTINGS = "tests.delivery.server_settings"
"""Any that read ``DATABASE_FILE``: all sites of the tests have the same tables."""


def put_tables(file: Path) -> None:
    """Write a migrated SQLite database without rows."""
    shutil.copyfile(_migrated(), file)


@cache
def _migrated() -> Path:
    folder = Path(mkdtemp(prefix="sync-streams-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "db.sqlite3"
    variables = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_FILE": str(file)}
    migrate = ("-m", "django", "migrate", "--verbosity", "0")
    zygote.run(*migrate, environ={**os.environ, **variables}).check_returncode()
    return file
