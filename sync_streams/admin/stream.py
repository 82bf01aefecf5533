"""Streams in the admin.

See https://www.twilio.com/docs/sync/api/stream-resource.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sync_streams import operations
from sync_streams.delivery.cluster import stats
from sync_streams.models import Stream
from sync_streams.operations.databases import written_alias

from . import actions, message, monitor
from .base import (
    MAY_VIEW_SERVICES,
    ResourceAdmin,
    ResourceForm,
    label,
    relative_expiry,
)
from .dates import show_date
from .filters import AccountFilter, ExpiryFilter, OccupancyFilter


class StreamForm(ResourceForm):
    """A Stream's name, which cannot be changed, and its TTL, counted from now."""

    ttl = forms.IntegerField(
        label=_("TTL"),
        required=False,
        help_text=_(
            "Seconds from now until the stream expires, at most 31,536,000. 0: never. "
            "Empty: unchanged."
        ),
    )

    class Meta:
        model = Stream
        fields = ("service", "unique_name")
        help_texts: ClassVar = {
            "service": _(
                "The service that the stream belongs to. It cannot be changed later."
            ),
            "unique_name": _(
                "1 to 320 visible characters. The name cannot be changed later. "
                "Empty: the stream has only a SID."
            ),
        }


@admin.register(Stream)
class StreamAdmin(ResourceAdmin):
    """Find, create and remove Streams, and change their TTL."""

    form = StreamForm
    list_display = (
        "name",
        "subscribers",
        "expires",
        "service_name",
        "sid",
        "created",
    )
    list_select_related = ("service",)
    list_filter: ClassVar = [AccountFilter, ExpiryFilter, OccupancyFilter]
    search_fields = ("sid",)  # shows the field; get_search_fields() decides
    pages = (*monitor.PAGES, *message.PAGES)
    search_hints = (
        _("Start of a SID, or any part of a unique name"),
        _("Start of a SID or unique name"),
    )
    date_hierarchy = "date_created"
    autocomplete_fields = ("service",)
    readonly_fields = (
        "sid",
        "account_sid",
        "created_by",
        "created",
        "updated",
        "expiry",
    )

    actions = ("set_ttl",)

    class Media:
        js = (forms.Script("sync_streams/occupancy.js", type="module"),)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.give_occupancy)
        return [path("occupancy/", view), *super().get_urls()]

    @admin.action(
        description=_("Set the TTL of selected streams"), permissions=["change"]
    )
    def set_ttl(
        self, request: HttpRequest, streams: QuerySet[Stream]
    ) -> HttpResponse | None:
        return actions.set_ttl(self, request, streams)

    def give_occupancy(self, request: HttpRequest) -> HttpResponse:
        """Return the number of subscribers of each Stream on a page of the list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sids = request.GET.getlist("sid")[: self.list_max_show_all]
        counts = stats.ask(sids).subscribers
        return JsonResponse({sid: counts.get(sid, 0) for sid in sids})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Stream.objects.live().order_by(*self.get_ordering(request))

    def get_readonly_fields(
        self, request: HttpRequest, obj: Stream | None = None
    ) -> tuple[str, ...]:
        fixed = (_service_field(request), "unique_name") if obj else ()
        return (*fixed, *self.readonly_fields)

    def get_fields(self, request: HttpRequest, obj: Stream | None = None) -> Any:
        if obj is None:
            return ("service", "unique_name", "ttl")
        may_change = self.has_change_permission(request, obj)
        ttl = ("ttl",) if may_change else ()
        head = ("unique_name", "sid", _service_field(request))
        return (*head, *ttl, *self.readonly_fields[1:])

    def save_model(
        self, request: HttpRequest, obj: Stream, form: Any, change: bool
    ) -> None:
        ttl = form.cleaned_data["ttl"]
        if change:
            operations.update_stream(obj.service, obj.sid, ttl=ttl)
        else:
            obj.sid = operations.create_stream(
                obj.service, unique_name=obj.unique_name, ttl=ttl
            ).sid
        obj.refresh_from_db(using=written_alias())

    def delete_model(self, request: HttpRequest, obj: Stream) -> None:
        operations.remove_stream(obj.service, obj.sid)

    @admin.display(description=_("name"), ordering="unique_name")
    def name(self, stream: Stream) -> str:
        return label(stream)

    @admin.display(description=_("subscribers"))
    def subscribers(self, stream: Stream) -> str:
        """Return a placeholder for the number, which a script fetches and updates."""
        return format_html('<span data-occupancy="{}">…</span>', stream.sid)

    @admin.display(description=_("service"), ordering="service")
    def service_name(self, stream: Stream) -> str:
        return str(stream.service)

    @admin.display(description=_("expiry"))
    def expiry(self, stream: Stream) -> str:
        if stream.date_expires is None:
            return gettext("does not expire")
        return f"{relative_expiry(stream)} ({show_date(stream.date_expires)})"

    @admin.display(description=_("expires"), ordering="date_expires")
    def expires(self, stream: Stream) -> str:
        return relative_expiry(stream)


def _service_field(request: HttpRequest) -> str:
    # Django links to the related page, even if the user may not open it.
    return "service" if request.user.has_perm(MAY_VIEW_SERVICES) else "service_name"
