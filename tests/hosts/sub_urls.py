"""URLs of the host project where the app stands below a path."""

from django.urls import include, path

from tests.hosts.urls import own

urlpatterns = [*own, path("realtime/", include("sync_streams.urls"))]
