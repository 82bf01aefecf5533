"""URLs for a host project to include at its root: Twilio's clients expect ``/v1``."""

from django.urls import include, re_path

from .rest.urls import unknown

app_name = "sync_streams"

urlpatterns = [
    re_path("^v1/", include("sync_streams.sse.urls")),
    re_path("^v1/", include("sync_streams.rest.urls")),
    # Otherwise APPEND_SLASH could redirect it to /v1/.
    re_path(r"^v1\Z", unknown),
]
