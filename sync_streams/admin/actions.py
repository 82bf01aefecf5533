"""Action of the Streams' list: set the TTL of several Streams at once."""

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from sync_streams import operations
from sync_streams.errors import SyncError
from sync_streams.models import Stream
from sync_streams.operations.validators import MAX_TTL_SECONDS

from .base import Question, ResourceAdmin, ask, describe


class TtlForm(forms.Form):
    """The TTL for all selected Streams."""

    ttl = forms.IntegerField(
        label=gettext_lazy("TTL"),
        min_value=0,
        max_value=MAX_TTL_SECONDS,
        help_text=gettext_lazy("Seconds from now until the streams expire. 0: never."),
    )


def set_ttl(
    model_admin: ResourceAdmin, request: HttpRequest, streams: QuerySet[Stream]
) -> HttpResponse | None:
    """Ask for the TTL and set it on each of the Streams."""
    form = TtlForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        changed = sum(
            _change(model_admin, request, stream, form.cleaned_data["ttl"])
            for stream in streams.select_related("service")
        )
        said = ngettext(
            "%(count)d stream has a new TTL.",
            "%(count)d streams have a new TTL.",
            changed,
        )
        model_admin.message_user(request, said % {"count": changed})
        return None
    return ask(model_admin, request, _question(model_admin, request, streams, form))


def _question(
    model_admin: ResourceAdmin,
    request: HttpRequest,
    streams: QuerySet[Stream],
    form: TtlForm,
) -> Question:
    count = streams.count()
    text = ngettext(
        "The new TTL applies to %(count)d stream and starts now.",
        "The new TTL applies to %(count)d streams and starts now.",
        count,
    )
    is_about_all = request.POST.get("select_across") == "1"
    named = streams[:1] if is_about_all else streams
    return Question(
        title=_("Set the TTL"),
        text=text % {"count": count},
        button=_("Set the TTL"),
        form=form,
        cancel_url=model_admin.list_url(),
        action="set_ttl",
        selected=[stream.sid for stream in named],
        is_about_all=is_about_all,
    )


def _change(
    model_admin: ResourceAdmin, request: HttpRequest, stream: Stream, ttl: int
) -> bool:
    try:
        operations.update_stream(stream.service, stream.sid, ttl=ttl)
    except SyncError as error:
        text = f"{stream}: {describe(error)}"
        model_admin.message_user(request, text, messages.ERROR)
        return False
    model_admin.log_change(request, stream, _("TTL: %(ttl)d s.") % {"ttl": ttl})
    return True
