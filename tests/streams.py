"""A Stream in a process with an empty cache."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async

from sync_streams import operations
from sync_streams.cache import lookups
from sync_streams.models import Stream
from tests.settings import ACCOUNT_SID


@asynccontextmanager
async def uncached_stream() -> AsyncIterator[Stream]:
    """Create the Stream ``news`` of the default Service; nothing is left cached."""
    lookups.forget_all()
    service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
    create = sync_to_async(operations.create_stream)
    try:
        yield await create(service, unique_name="news")
    finally:
        lookups.forget_all()
