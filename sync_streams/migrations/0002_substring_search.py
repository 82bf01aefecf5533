"""Indexes by which the admin finds names by any part of them, on PostgreSQL.

They need its extension pg_trgm, which is trusted: any user who may create objects in
the database may create it. If that is refused, and on every other database, the admin
searches by the start of names, and says so.
"""

import logging
from typing import Any

from django.db import DatabaseError, migrations, transaction

logger = logging.getLogger(__name__)

INDEXES = {
    "sync_streams_stream_name_trgm": ("stream", "unique_name"),
    "sync_streams_service_name_trgm": ("service", "unique_name"),
    "sync_streams_service_friendly_trgm": ("service", "friendly_name"),
}


def create(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            for name, (model, column) in INDEXES.items():
                table = apps.get_model("sync_streams", model)._meta.db_table
                # As Django writes icontains.
                schema_editor.execute(
                    f"CREATE INDEX IF NOT EXISTS {schema_editor.quote_name(name)} "
                    f"ON {schema_editor.quote_name(table)} "
                    f"USING gin (UPPER({schema_editor.quote_name(column)}::text) "
                    "gin_trgm_ops)"
                )
    except DatabaseError as error:
        # Not allowed, or the extension is not installed.
        logger.warning("names can be searched by prefix only: %s", error)


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            quoted = schema_editor.quote_name(name)
            schema_editor.execute(f"DROP INDEX IF EXISTS {quoted}")


class Migration(migrations.Migration):
    dependencies = [("sync_streams", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
