"""URLs of a site with a view that fails."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from sync_streams.rest import errors


def fail(request: HttpRequest) -> HttpResponse:
    """Fail as a view of the host project may."""
    raise RuntimeError("nobody foresaw this")


urlpatterns = [path("fail", fail), path("", include("sync_streams.urls"))]
handler500 = errors.handler500
