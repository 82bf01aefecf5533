"""Processes: those that hold sockets now, their figures, and how to drain one."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from sync_streams import operations
from sync_streams.delivery.cluster import stats
from sync_streams.delivery.cluster.survey import GATHER_SECONDS
from sync_streams.errors import SyncError

from .base import Question, ResourceAdmin, ask, describe

LATE_MS = round(GATHER_SECONDS * 1000)
"""Replies that take longer are missing from the figures of all other pages."""


class ProcessForm(forms.Form):
    """The process to drain."""

    process = forms.CharField(widget=forms.HiddenInput)


def show_processes(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    """Show every process; superusers can drain one."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    if request.method == "POST":
        return _drain(model_admin, request)
    told = stats.ask([], is_patient=True)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Processes"),
        "opts": model_admin.opts,
        "processes": _describe_all(told),
        "silent": sorted(told.silent.items()),
        "late_ms": LATE_MS,
        "may_drain": request.user.is_superuser,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/processes.html", context)


def _describe_all(told: stats.Stats) -> list[dict[str, Any]]:
    now = timezone.now()
    return [
        {
            **figures,
            "name": name,
            "version": told.versions[name],
            "uptime": timesince(now - timedelta(seconds=figures["uptime_seconds"])),
            "memory": filesizeformat(figures["memory_bytes"]),
        }
        for name, figures in sorted(told.processes.items())
    ]


def _drain(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    if not request.user.is_superuser:
        raise PermissionDenied
    form = ProcessForm(request.POST)
    if form.is_valid() and "confirmed" in request.POST:
        _drain_now(model_admin, request, form.cleaned_data["process"])
        return redirect(request.path)
    question = Question(
        title=_("Drain a process"),
        text=_(
            "The process %(process)s closes its connections over several seconds; "
            "clients reconnect to another process automatically. It accepts no new "
            "connections until it is restarted. If it is the only process, clients "
            "cannot connect until then."
        )
        % {"process": form.cleaned_data.get("process", "")},
        button=_("Drain"),
        form=form,
        cancel_url=request.path,
    )
    return ask(model_admin, request, question)


def _drain_now(model_admin: ResourceAdmin, request: HttpRequest, process: str) -> None:
    try:
        operations.drain_process(process)
    except SyncError as error:
        model_admin.message_user(request, describe(error), messages.ERROR)
        return
    note = _("Draining %(process)s.") % {"process": process}
    # A process is not a row, so the entry names it without a link.
    LogEntry.objects.create(
        user_id=str(request.user.pk),
        object_repr=process[:200],
        action_flag=CHANGE,
        change_message=note,
    )
    model_admin.message_user(request, note)
