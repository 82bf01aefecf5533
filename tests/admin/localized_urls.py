"""URLs of a host project whose pages have the language in their address."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    *i18n_patterns(path("admin/", admin.site.urls)),
    path("", include("sync_streams.urls")),
]
