"""URL of a Stream's events, below ``/v1``."""

from django.urls import re_path

from sync_streams.operations.databases import without_transaction
from sync_streams.rest.urls import END, STREAM

from .views import stream_events

view = without_transaction(stream_events)

urlpatterns = [re_path(f"{STREAM}/Events{END}", view, name="events")]
