"""URLs of the demo site: the page and its token, the admin, the API under /v1."""

from django.contrib import admin
from django.urls import include, path

from project import views

urlpatterns = [
    path("", views.index, name="index"),
    path("token", views.token, name="token"),
    path("admin/", admin.site.urls),
    path("", include("sync_streams.urls")),
]
