"""Database routers of the host project."""

from typing import Any


class SyncRouter:
    """Keeps the tables of the app in a database of their own."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return "sync" if model._meta.app_label == "sync_streams" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "sync") == (app_label == "sync_streams")
