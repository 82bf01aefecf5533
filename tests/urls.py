"""URLs of the test site."""

from django.contrib import admin
from django.urls import include, path

handler400 = "sync_streams.rest.errors.handler400"
handler403 = "sync_streams.rest.errors.handler403"
handler404 = "sync_streams.rest.errors.handler404"
handler500 = "sync_streams.rest.errors.handler500"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("sync_streams.urls")),
]
