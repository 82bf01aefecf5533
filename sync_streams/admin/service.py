"""Services in the admin.

See https://www.twilio.com/docs/sync/api/service.
"""

from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from sync_streams import operations
from sync_streams.models import Service, Stream
from sync_streams.operations.databases import written_alias
from sync_streams.values import utc

from . import connection, identity, message, monitor, overview, process, webhook
from .base import (
    MAY_VIEW_STREAMS,
    ResourceAdmin,
    ResourceForm,
    label,
    relative_expiry,
)
from .filters import AccountFilter, account_choices

SETTINGS_FIELDS = (
    "friendly_name",
    "webhook_url",
    "webhooks_from_rest_enabled",
    "reachability_webhooks_enabled",
    "reachability_debouncing_enabled",
    "reachability_debouncing_window",
    "acl_enabled",
)
"""Fields that can be set on a new or an existing Service."""


APP = Service._meta.app_label


NEWEST = 10
"""Maximum number of Streams that a Service's page shows."""


class ServiceForm(ResourceForm):
    """A Service's settings, and the account in which it is created."""

    account_sid = forms.ChoiceField(
        label=_("account SID"),
        choices=account_choices,
        help_text=_("The account that owns the service. It cannot be changed later."),
    )

    class Meta:
        model = Service
        fields = ("account_sid", *SETTINGS_FIELDS)
        help_texts: ClassVar = {
            "friendly_name": _("A label for people; SDK clients never see it."),
            "webhook_url": _(
                "An http or https URL that receives a signed POST for each change. "
                "Empty: no webhooks."
            ),
            "webhooks_from_rest_enabled": _(
                "Also send webhooks for changes made over REST, not only over sockets."
            ),
            "reachability_webhooks_enabled": _(
                "Send a webhook when an identity connects for the first time and when "
                "its last connection ends."
            ),
            "reachability_debouncing_enabled": _(
                "Wait before reporting that an identity has disconnected, since it may "
                "reconnect."
            ),
            "reachability_debouncing_window": _(
                "How long to wait, in milliseconds: 1,000 to 30,000."
            ),
            "acl_enabled": _(
                "Clients with access tokens cannot create streams in this service."
            ),
        }


@admin.register(Service)
class ServiceAdmin(ResourceAdmin):
    """Find, create, change and remove Services."""

    form = ServiceForm
    list_display = ("name", "sid", "account_sid", "streams", "created")
    list_filter: ClassVar = [
        AccountFilter,
        "webhooks_from_rest_enabled",
        "reachability_webhooks_enabled",
    ]
    search_fields = ("sid",)  # shows the field; get_search_fields() decides
    named_by = ("unique_name", "friendly_name")
    pages = (*monitor.PAGES, *message.PAGES, *identity.PAGES, *webhook.PAGES)
    search_hints = (
        _("Start of a SID, or any part of a unique or friendly name"),
        _("Start of a SID, unique name or friendly name"),
    )
    date_hierarchy = "date_created"
    readonly_fields = ("sid", "unique_name", "created", "updated")

    def get_urls(self) -> list[Any]:
        views = {
            "overview": overview.show_overview,
            "figures": overview.give_overview,
            "connections": connection.show_connections,
            "processes": process.show_processes,
        }
        pages = [
            path(
                f"{name}/",
                self.admin_site.admin_view(partial(view, self)),
                name=f"{APP}_service_{name}",
            )
            for name, view in views.items()
        ]
        return [*pages, *super().get_urls()]

    def get_change_context(
        self, request: HttpRequest, resource: Service
    ) -> dict[str, Any]:
        context = {
            **super().get_change_context(request, resource),
            "is_service": True,
        }
        if not request.user.has_perm(MAY_VIEW_STREAMS):
            return context
        newest = operations.list_streams(resource).order_by("-date_created")[:NEWEST]
        return {
            **context,
            "newest": [self._describe(stream) for stream in newest],
            "streams_url": self._streams_url(resource),
        }

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        if request.user.has_perm(MAY_VIEW_STREAMS):
            return columns
        return ["stream_count" if name == "streams" else name for name in columns]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        is_live = Q(streams__date_expires=None) | Q(streams__date_expires__gt=utc.now())
        counted = Service.objects.annotate(
            stream_count=Count("streams", filter=is_live)
        )
        return counted.order_by(*self.get_ordering(request))

    def get_readonly_fields(
        self, request: HttpRequest, obj: Service | None = None
    ) -> tuple[str, ...]:
        fixed = ("account_sid",) if obj else ()
        return (*fixed, *self.readonly_fields)

    def get_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        if obj is None:
            return ("account_sid", *SETTINGS_FIELDS)
        head = ("sid", "unique_name", "account_sid")
        return (*head, *SETTINGS_FIELDS, "created", "updated")

    def save_model(
        self, request: HttpRequest, obj: Service, form: Any, change: bool
    ) -> None:
        changed = {
            name: form.cleaned_data[name]
            for name in SETTINGS_FIELDS
            if name in form.changed_data
        }
        if change:
            operations.update_service(obj, **changed)
        else:
            account_sid = form.cleaned_data["account_sid"]
            obj.sid = operations.create_service(account_sid, **changed).sid
            obj.refresh_from_db(using=written_alias())

    def delete_model(self, request: HttpRequest, obj: Service) -> None:
        operations.remove_service(obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count the Streams that are removed as well, instead of listing thousands."""
        services = list(objs)
        count = Stream.objects.filter(service__in=services).count()
        lacking = {
            model._meta.verbose_name
            for model in (Service, Stream)
            if not request.user.has_perm(f"{APP}.delete_{model._meta.model_name}")
        }
        counts = {
            Service._meta.verbose_name_plural: len(services),
            Stream._meta.verbose_name_plural: count,
        }
        return [label(service) for service in services], counts, lacking, []

    @admin.display(description=_("name"), ordering="unique_name")
    def name(self, service: Service) -> str:
        return label(service)

    @admin.display(description=_("streams"), ordering="stream_count")
    def streams(self, service: Any) -> str:
        url = self._streams_url(service)
        return format_html('<a href="{}">{}</a>', url, service.stream_count)

    @admin.display(description=_("streams"), ordering="stream_count")
    def stream_count(self, service: Any) -> int:
        """Return the number without a link."""
        return int(service.stream_count)

    def _streams_url(self, service: Service) -> str:
        name = f"{self.admin_site.name}:{APP}_stream_changelist"
        return reverse(name, query={"service": service.sid})

    def _describe(self, stream: Stream) -> dict[str, str]:
        name = f"{self.admin_site.name}:{APP}_stream_change"
        return {
            "name": label(stream),
            "sid": stream.sid,
            "expires": relative_expiry(stream),
            "url": reverse(name, args=[stream.sid]),
        }
