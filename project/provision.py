"""Set-up of the demo site: tables, a Service, a Stream and an admin user."""

import os
import sys
from contextlib import suppress

from django.contrib.auth import get_user_model
from django.core.management import call_command

from project import settings
from sync_streams import operations
from sync_streams.errors import UniqueNameTaken


def provision() -> str:
    """Migrate, create what is missing, and return the admin's login as text."""
    _keep_data_private()
    call_command("migrate", interactive=False, verbosity=0)
    _provide_stream()
    return _provide_admin()


def _keep_data_private() -> None:
    """Keep files private to this user; warn if others can enter the folder."""
    os.umask(0o077)
    folder = settings.DATA_DIR
    for file in folder.glob("db.sqlite3*"):
        file.chmod(0o600)
    if folder.exists() and folder.stat().st_mode & 0o077:
        print(f"{folder} is open to other users: chmod 700 it", file=sys.stderr)


def _provide_stream() -> None:
    service = operations.get_service(
        settings.CREDENTIALS["SYNC_ACCOUNT_SID"], "default"
    )
    with suppress(UniqueNameTaken):
        operations.create_stream(service, unique_name="demo")


def _provide_admin() -> str:
    password = settings.CREDENTIALS["ADMIN_PASSWORD"]
    users = get_user_model().objects
    admin = users.filter(username="admin").first()
    if admin is None:
        users.create_superuser("admin", password=password)
    elif not admin.check_password(password):
        return "admin, with the password that you set"
    return f"admin, password {password}"
