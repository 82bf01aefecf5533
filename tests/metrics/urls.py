"""The demo site's URLs, with metrics and traces of the process that answered."""

import json
import os
import time

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from project.urls import handler400, handler403, handler404, handler500
from project.urls import urlpatterns as of_site
from sync_streams.metrics import metrics
from tests.metrics.settings import spans as exporter

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


async def told(request: HttpRequest) -> HttpResponse:
    """Answer as the view does, with this process's id in a header."""
    answer: HttpResponse = await metrics(request)
    answer["Process"] = str(os.getpid())
    return answer


def traced(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Answer with the spans of a trace that this process recorded."""
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    found = [one for one in spans if one["context"]["trace_id"] == f"0x{trace_id}"]
    return JsonResponse({"process": os.getpid(), "spans": found})


async def block(request: HttpRequest) -> HttpResponse:
    """Block the event loop, like a view that was not written for one."""
    time.sleep(0.8)  # noqa: ASYNC251 - the fault
    return HttpResponse("It waited.")


urlpatterns = [
    path("metrics", told),
    path("spans/<trace_id>", traced),
    path("block", block),
    *of_site,
]
