"""Webhook: an operator sends a test to a Service's endpoint and sees the result."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from sync_streams import operations
from sync_streams.errors import SyncError
from sync_streams.models import Service

from .base import Page, ResourceAdmin, describe

MAY_TRY = "sync_streams.change_service"


def try_webhook(
    model_admin: ResourceAdmin, request: HttpRequest, service: Service
) -> HttpResponse:
    """Send a test to the Service's ``webhook_url`` and show the result."""
    try:
        failures = operations.try_webhook(service)
    except SyncError as error:
        failures = [describe(error)]
    if failures:
        note = _("The test webhook failed: %(why)s") % {"why": "; ".join(failures)}
        model_admin.message_user(request, note, messages.ERROR)
    else:
        note = _("The test webhook was delivered.")
        model_admin.message_user(request, note)
    model_admin.log_change(request, service, note)
    return redirect(model_admin.change_url(service))


PAGES = (Page("webhook", try_webhook, MAY_TRY, methods=("POST",)),)
