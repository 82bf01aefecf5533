"""Connections of all processes: find who is connected now, and disconnect them."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from sync_streams import operations
from sync_streams.delivery.cluster.listing import MAX_ROWS, Connections, Row, Wanted
from sync_streams.errors import SyncError
from sync_streams.models import Service, Stream
from sync_streams.tokens import MAX_IDENTITY_LENGTH
from sync_streams.values.sids import is_sid
from sync_streams.values.text import NOBODY, visible
from sync_streams.values.utc import from_timestamp

from . import identity as identities
from .base import MAY_MONITOR, Question, ResourceAdmin, ask, describe

PER_PAGE = 50


class SearchForm(forms.Form):
    """The search; an empty field matches everything."""

    identity = forms.CharField(
        label=gettext_lazy("Identity contains"),
        max_length=MAX_IDENTITY_LENGTH,
        required=False,
    )
    service = forms.CharField(
        label=gettext_lazy("Service (SID or name)"), max_length=320, required=False
    )
    stream = forms.CharField(
        label=gettext_lazy("Subscribed to stream (SID or name)"),
        max_length=320,
        required=False,
    )
    process = forms.CharField(
        label=gettext_lazy("Process"), max_length=320, required=False
    )
    address = forms.CharField(
        label=gettext_lazy("Address begins with"), max_length=64, required=False
    )

    def clean_service(self) -> str:
        """Return a SID."""
        ref = str(self.cleaned_data["service"])
        if not ref or is_sid(ref):
            return ref
        sids = _sids(Service.objects.filter(unique_name=ref)) or _sids(
            Service.objects.filter(friendly_name=ref)
        )
        if not sids:
            raise forms.ValidationError(_("There is no such service."))
        if len(sids) > 1:
            several = _("Several services have this name: use the SID.")
            raise forms.ValidationError(several)
        return sids[0]

    def clean_stream(self) -> str:
        """Return a SID, of the Service if one is named."""
        ref, service = (
            str(self.cleaned_data["stream"]),
            self.cleaned_data.get("service"),
        )
        if not ref or is_sid(ref):
            return ref
        named = Stream.objects.live().by_name(ref)
        sids = _sids(named.filter(service=service) if service else named)
        if not sids:
            raise forms.ValidationError(_("There is no such stream."))
        if len(sids) > 1:
            several = _("Several streams have this name: use the SID.")
            raise forms.ValidationError(several)
        return sids[0]

    @property
    def wanted(self) -> Wanted:
        """The search that the processes are asked for."""
        fields = self.cleaned_data
        return {
            "identity": fields["identity"],
            "service_sid": fields["service"],
            "stream_sid": fields["stream"],
            "process": fields["process"],
            "address": fields["address"],
        }


class DisconnectForm(forms.Form):
    """The connection to end, or the identity to disconnect completely."""

    service = forms.CharField(widget=forms.HiddenInput)
    identity = forms.CharField(widget=forms.HiddenInput, strip=False, required=False)
    connection = forms.CharField(widget=forms.HiddenInput, required=False)


def _sids(rows: QuerySet[Any]) -> list[str]:
    # Two are enough to know that there are several.
    return list(rows.values_list("sid", flat=True)[:2])


@dataclass(frozen=True, slots=True)
class Found:
    """What the processes replied, or why they did not."""

    connections: Connections
    fault: str = ""


def show_connections(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    """Show who is connected; users who may change Services can disconnect them."""
    may_view = model_admin.has_view_permission(request)
    if not may_view or not request.user.has_perm(MAY_MONITOR):
        raise PermissionDenied
    if request.method == "POST":
        return _disconnect(model_admin, request)
    form = SearchForm(request.GET)
    found = _search(form)
    page = Paginator(found.connections.rows, PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Connections"),
        "opts": model_admin.opts,
        "form": form,
        "found": found,
        "rows": _describe_all(model_admin, list(page)),
        "page": page,
        "query": query.urlencode(),
        "said": _say(found.connections),
        "may_disconnect": request.user.has_perm(identities.MAY_DISCONNECT),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/connections.html", context)


def _say(found: Connections) -> str:
    shown = {"count": found.total, "processes": len(found.processes)}
    answered = ngettext(
        "%(processes)d process answered within 250 ms.",
        "%(processes)d processes answered within 250 ms.",
        len(found.processes),
    )
    total = ngettext("%(count)d connection.", "%(count)d connections.", found.total)
    left_out = found.total - len(found.rows)
    few = _("Only the newest %(rows)d are listed; %(left_out)d more are not shown.")
    told = few % {"rows": MAX_ROWS, "left_out": left_out} if left_out else ""
    return " ".join((total % shown, told, answered % shown))


def _search(form: SearchForm) -> Found:
    nothing = Connections([], 0, [])
    if not form.is_valid():
        return Found(nothing)
    try:
        return Found(operations.list_connections(**form.wanted))
    except SyncError as error:
        return Found(nothing, describe(error))


def _describe_all(model_admin: ResourceAdmin, rows: list[Row]) -> list[dict[str, Any]]:
    services = Service.objects.in_bulk({row["service_sid"] for row in rows})
    name = f"{model_admin.admin_site.name}:{model_admin.opts.app_label}_service_change"
    described = []
    for row in rows:
        sid = row["service_sid"]
        service = services.get(sid)
        described.append(
            {
                **row,
                "shown": visible(row["identity"]) or NOBODY,
                "client": visible(row["client"]),
                "service_name": str(service) if service else sid,
                "service_url": reverse(name, args=[sid]) if service else "",
                "age": timesince(from_timestamp(row["since"]), depth=1),
            }
        )
    return described


def _disconnect(model_admin: ResourceAdmin, request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(identities.MAY_DISCONNECT):
        raise PermissionDenied
    form = DisconnectForm(request.POST)
    here = request.get_full_path()
    if not form.is_valid():
        return redirect(here)
    service = get_object_or_404(Service, sid=form.cleaned_data["service"])
    identity, connection = (
        form.cleaned_data[name] for name in ("identity", "connection")
    )
    if not (identity or connection):
        return redirect(here)
    if "confirmed" in request.POST:
        try:
            identities.end(
                model_admin, request, service, identity, connection_id=connection
            )
        except SyncError as error:
            model_admin.message_user(request, describe(error), messages.ERROR)
        return redirect(here)
    return ask(model_admin, request, _question(form, service, here))


def _question(form: DisconnectForm, service: Service, here: str) -> Question:
    shown = visible(form.cleaned_data["identity"]) or NOBODY
    title = _("Disconnect “%(identity)s”") % {"identity": shown}
    text = identities.explain(service)
    if form.cleaned_data["connection"]:
        text = _(
            "Only this connection is closed, and its client is told not to reconnect "
            "automatically. Other connections of the identity stay open."
        )
    return Question(
        title=title, text=text, button=_("Disconnect"), form=form, cancel_url=here
    )
