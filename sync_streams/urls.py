"""URLs that a host project includes, at its root: Twilio's clients expect ``/v1``."""

from django.urls import include, re_path

app_name = "sync_streams"

urlpatterns = [
    # No slash here, so that /v1 itself is no candidate for a redirect to /v1/.
    re_path("^v1", include("sync_streams.rest.urls")),
]
