"""URLs of the test site with a view for tokens."""

from django.urls import path

from sync_streams.rest.tokens import TokenView
from tests import urls

urlpatterns = [
    path("token/", TokenView.as_view(ttl=600)),
    *urls.urlpatterns,
]
