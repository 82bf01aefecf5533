"""The demo site's URLs and its metrics; the view tells which process answered."""

import os

from django.http import HttpRequest, HttpResponse
from django.urls import path

from project.urls import handler400, handler403, handler404, handler500
from project.urls import urlpatterns as of_site
from sync_streams.metrics import metrics

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


async def told(request: HttpRequest) -> HttpResponse:
    """Answer as the view does, with this process's id in a header."""
    answer: HttpResponse = await metrics(request)
    answer["Process"] = str(os.getpid())
    return answer


urlpatterns = [path("metrics", told), *of_site]
