"""Test Messages: published from the admin to the current subscribers."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

from sync_streams import operations
from sync_streams.models import Service, Stream
from sync_streams.operations.data import read_data

from .base import MAY_PUBLISH, Page, ResourceAdmin, answer_errors


@answer_errors
def publish(
    model_admin: ResourceAdmin, request: HttpRequest, resource: Service | Stream
) -> HttpResponse:
    """Publish the form's data; return the Message's SID, or the error."""
    if isinstance(resource, Service):
        service, ref = resource, request.POST.get("stream", "")
    else:
        service, ref = resource.service, resource.sid
    data = read_data(request.POST.get("data", ""))
    message = operations.publish(service, ref, data)
    sids = {"message": message.sid, "stream": message.stream_sid}
    note = _("Published %(message)s to %(stream)s.") % sids
    model_admin.log_change(request, resource, note)
    return JsonResponse({"sid": message.sid, "stream_sid": message.stream_sid})


PAGES = (Page("publish", publish, MAY_PUBLISH, methods=("POST",)),)
