"""URLs of the host project."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from sync_streams import health


def home(request: HttpRequest) -> HttpResponse:
    """Answer as a page of the host project's own."""
    return HttpResponse("home")


own = [
    path("", home),
    path("admin/", admin.site.urls),
    path("livez", health.live),
    path("readyz", health.ready),
    path("static/<path:path>", serve, {"insecure": True}),
]
urlpatterns = [*own, path("", include("sync_streams.urls"))]
