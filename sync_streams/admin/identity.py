"""Identities: an operator disconnects one from a Service, on all processes."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from sync_streams import operations
from sync_streams.errors import SyncError
from sync_streams.models import Service
from sync_streams.tokens import MAX_IDENTITY_LENGTH

from .base import Page, Question, ResourceAdmin, ask, describe

MAY_DISCONNECT = "sync_streams.change_service"


class IdentityForm(forms.Form):
    """Whom to disconnect, as the access tokens spell it."""

    identity = forms.CharField(
        label=gettext_lazy("Identity"), max_length=MAX_IDENTITY_LENGTH, strip=False
    )


def disconnect(
    model_admin: ResourceAdmin, request: HttpRequest, service: Service
) -> HttpResponse:
    """Ask for the identity and disconnect it."""
    form = IdentityForm(request.POST or None)
    if form.is_valid() and _is_done(form, service):
        identity = form.cleaned_data["identity"]
        note = _("Disconnected “%(identity)s”.") % {"identity": identity}
        model_admin.log_change(request, service, note)
        model_admin.message_user(request, note)
        return redirect(model_admin.change_url(service))
    question = Question(
        title=_("Disconnect an identity"),
        text=_(
            "All connections of this identity to the service %(service)s are closed "
            "now, on all processes, and its clients are told not to reconnect by "
            "themselves. Its access tokens stay valid until they expire, so make sure "
            "that your application does not issue a new one."
        )
        % {"service": service},
        button=_("Disconnect"),
        form=form,
        cancel_url=model_admin.change_url(service),
    )
    return ask(model_admin, request, question)


def _is_done(form: IdentityForm, service: Service) -> bool:
    try:
        operations.disconnect_identity(service, form.cleaned_data["identity"])
    except SyncError as error:
        form.add_error(None, describe(error))
        return False
    return True


PAGES = (Page("disconnect", disconnect, MAY_DISCONNECT, methods=("GET", "POST")),)
