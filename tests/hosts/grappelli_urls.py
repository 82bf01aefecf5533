"""URLs of the host project whose admin has the theme grappelli."""

from django.urls import include, path

from tests.hosts import urls

urlpatterns = [path("grappelli/", include("grappelli.urls")), *urls.urlpatterns]
