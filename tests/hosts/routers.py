"""Database routers of the host project."""

from typing import Any


class SyncRouter:
    """Keeps the tables of the app in a database of their own."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return "sync" if model._meta.app_label == "sync_streams" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "sync") == (app_label == "sync_streams")


class ReplicaRouter:
    """Reads the tables of the app from a replica."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "sync_streams" else None

    def db_for_write(self, model: type[Any], **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True
