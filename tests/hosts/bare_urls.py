"""URLs of the host project where there are no users, hence no admin."""

from django.urls import include, path

from sync_streams import health

urlpatterns = [
    path("livez", health.live),
    path("readyz", health.ready),
    path("", include("sync_streams.urls")),
]
