"""URLs of the demo site: its pages, their token, the admin, and the API under /v1."""

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import set_language

from project import settings, views
from sync_streams import health
from sync_streams.rest import errors

urlpatterns = [
    path("", views.page, {"template": "index.html"}, name="index"),
    path("cursors", views.page, {"template": "cursors.html"}, name="cursors"),
    path("phone.svg", views.phone, name="phone"),
    path("token", views.token, name="token"),
    path("livez", health.live),
    path("readyz", health.ready),
    path(settings.ADMIN_URL, admin.site.urls),
    path("language", set_language, name="language"),
    path("", include("sync_streams.urls")),
]

# Errors outside a view: JSON under /v1, Django's own pages elsewhere.
handler400 = errors.handler400
handler403 = errors.handler403
handler404 = errors.handler404
handler500 = errors.handler500
