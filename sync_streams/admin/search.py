"""Search: by any part of a name, if the database can do so quickly."""

from django.db import connections

INDEX = "sync_streams_stream_name_trgm"
"""Any of the migration's indexes would do: they are created together."""

_indexed: set[str] = set()


def finds_substrings(alias: str) -> bool:
    """Tell whether the database has the indexes for parts of names.

    Args:
        alias: of the database, in ``DATABASES``.
    """
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return False
    if alias not in _indexed:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [INDEX])
            (name,) = cursor.fetchone()
        if name is None:
            return False
        _indexed.add(alias)
    return True
