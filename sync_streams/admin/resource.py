"""What Services and Streams have in common in the admin: changes are operations.

Django's own way to save and delete is never taken: it would go behind the back of
subscribers. See
https://docs.djangoproject.com/en/stable/ref/contrib/admin/#modeladmin-methods.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _

from sync_streams.errors import (
    InvalidFriendlyName,
    InvalidParameter,
    InvalidTtl,
    InvalidUniqueName,
    InvalidWebhookUrl,
    NotFound,
    SyncError,
    UniqueNameTaken,
)
from sync_streams.models import Service, Stream

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyForm = forms.ModelForm[Any]
else:  # Django's classes are generic to the type checker only.
    AnyAdmin, AnyForm = admin.ModelAdmin, forms.ModelForm

FAULT = "sync_streams.fault"
"""Key under which a request keeps the error of the operation that it asked for."""

FIELDS: dict[type[SyncError], str] = {
    InvalidFriendlyName: "friendly_name",
    InvalidParameter: "reachability_debouncing_window",
    InvalidTtl: "ttl",
    InvalidUniqueName: "unique_name",
    InvalidWebhookUrl: "webhook_url",
    UniqueNameTaken: "unique_name",
}
"""The form's field that an error speaks of; any other speaks of the whole form."""


class ResourceForm(AnyForm):
    """A form whose fields are checked by the operation, and by nothing else."""

    fault: ClassVar[SyncError | None] = None
    """What the operation had to say against the fields."""

    def clean(self) -> dict[str, Any] | None:
        """Show the operation's error where it belongs."""
        if self.fault is not None:
            field = FIELDS.get(type(self.fault))
            self.add_error(
                field if field in self.fields else None, describe(self.fault)
            )
        return super().clean()

    def _get_validation_exclusions(self) -> set[str]:
        # All of them: the name of a lapsed Stream is free, whatever its row says.
        return {field.name for field in self._meta.model._meta.fields}


class ResourceAdmin(AnyAdmin):
    """Admin of a resource that only operations change."""

    form = ResourceForm
    show_full_result_count = False
    list_per_page = 50

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form again, with the error, when the operation refuses.

        Whatever was done until then has been rolled back, the log entry included.
        """
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except SyncError as error:
            request.META[FAULT] = error
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[AnyForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"fault": request.META.get(FAULT)})

    def delete_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except SyncError as error:
            self.message_user(request, describe(error), messages.ERROR)
            return redirect(self.list_url())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for resource in queryset:
            # What somebody else has just removed is removed, too.
            with suppress(NotFound):
                self.delete_model(request, resource)

    def list_url(self, **query: str) -> str:
        """Return the address of the list, with *query* as its filters."""
        name = f"{self.admin_site.name}:sync_streams_{self.opts.model_name}_changelist"
        return reverse(name, query=query)


def describe(error: SyncError) -> str:
    """Return an error as the admin shows it: the wire's text and Twilio's code."""
    return f"{error.text} ({error.code})"


def relative_expiry(stream: Stream) -> str:
    """Return when a Stream lapses, seen from now."""
    if stream.date_expires is None:
        return _("never")
    if not stream.is_live():
        return _("%(time)s ago") % {"time": timesince(stream.date_expires)}
    return _("in %(time)s") % {"time": timeuntil(stream.date_expires)}


def label(resource: Service | Stream) -> str:
    """Return the name by which people know a resource, if it has one."""
    return resource.unique_name or getattr(resource, "friendly_name", None) or "–"
