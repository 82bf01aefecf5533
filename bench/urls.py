"""URLs of the product under test: the demo site's, the empty view and metrics."""

from django.urls import path
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.request import Request
from rest_framework.response import Response

from project.urls import urlpatterns as project_urlpatterns
from sync_streams.metrics import metrics
from sync_streams.rest.authentication import BasicAuthentication


@api_view(["POST"])
@authentication_classes([BasicAuthentication])
def empty(request: Request) -> Response:
    """Only authenticate and respond: the minimum cost of any REST call here."""
    return Response({}, status=201)


urlpatterns = [path("empty", empty), path("metrics", metrics), *project_urlpatterns]
