"""Identities: an operator disconnects one and learns how many connections ended."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from sync_streams import operations
from sync_streams.errors import SyncError
from sync_streams.models import Service
from sync_streams.tokens import MAX_IDENTITY_LENGTH
from sync_streams.values.text import NOBODY, visible

from .base import Page, Question, ResourceAdmin, ask, describe

MAY_DISCONNECT = "sync_streams.change_service"


class IdentityForm(forms.Form):
    """The identity to disconnect, as in its access tokens."""

    identity = forms.CharField(
        label=gettext_lazy("Identity"),
        max_length=MAX_IDENTITY_LENGTH,
        strip=False,
        help_text=gettext_lazy("Exactly as written in your access tokens."),
    )


def disconnect(
    model_admin: ResourceAdmin, request: HttpRequest, service: Service
) -> HttpResponse:
    """Ask for an identity and disconnect it."""
    form = IdentityForm(request.POST or None)
    if form.is_valid():
        try:
            end(model_admin, request, service, form.cleaned_data["identity"])
        except SyncError as error:
            form.add_error(None, describe(error))
        else:
            return redirect(model_admin.change_url(service))
    question = Question(
        title=_("Disconnect an identity"),
        text=explain(service),
        button=_("Disconnect"),
        form=form,
        cancel_url=model_admin.change_url(service),
    )
    return ask(model_admin, request, question)


def explain(service: Service) -> str:
    """Return what disconnecting an identity of the Service does and does not do."""
    text = _(
        "All connections of this identity to the service %(service)s are closed, "
        "on all processes, and its clients are told not to reconnect automatically. "
        "Its access tokens stay valid until they expire, so make sure that your "
        "application does not issue a new one."
    )
    return text % {"service": service}


def end(
    model_admin: ResourceAdmin,
    request: HttpRequest,
    service: Service,
    identity: str,
    *,
    connection_id: str = "",
) -> None:
    """End the connections of an identity, or one of them; log and report how many.

    Raises:
        SyncError: it could not be done.
    """
    count = operations.disconnect_identity(
        service, identity, connection_id=connection_id
    )
    shown = {"identity": visible(identity) or NOBODY, "count": count}
    note = _("Disconnected “%(identity)s”.") % shown
    model_admin.log_change(request, service, note)
    if not count:
        nobody = _("No process reported an open connection of “%(identity)s”.")
        model_admin.message_user(request, nobody % shown, messages.WARNING)
        return
    ended = ngettext(
        "Ended %(count)d connection of “%(identity)s”.",
        "Ended %(count)d connections of “%(identity)s”.",
        count,
    )
    model_admin.message_user(request, ended % shown)


PAGES = (Page("disconnect", disconnect, MAY_DISCONNECT, methods=("GET", "POST")),)
