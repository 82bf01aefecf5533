"""Base classes of the admin's pages: changes are operations and need confirmation.

Django's own methods to save and delete are never used, since they would bypass
subscribers. See
https://docs.djangoproject.com/en/stable/ref/contrib/admin/#modeladmin-methods.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, AdminForm
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    JsonResponse,
)
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
from sync_streams.values.text import visible

from .dates import DatedList, show_date
from .search import finds_substrings
from .snippet import snippets

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
    AnyForm = forms.ModelForm[Any]
else:  # Django's classes are generic to the type checker only.
    AnyAdmin, AnyForm = admin.ModelAdmin, forms.ModelForm

View = Callable[[Any, HttpRequest, Any], HttpResponse]

MAY_MONITOR = "sync_streams.monitor_stream"
MAY_VIEW_SERVICES = "sync_streams.view_service"
MAY_VIEW_STREAMS = "sync_streams.view_stream"
MAY_PUBLISH = "sync_streams.publish_message"

FAULT = "sync_streams.fault"
"""Key under which a request keeps the error of its operation."""

FIELDS: dict[type[SyncError], str] = {
    InvalidFriendlyName: "friendly_name",
    InvalidTtl: "ttl",
    InvalidUniqueName: "unique_name",
    InvalidWebhookUrl: "webhook_url",
    UniqueNameTaken: "unique_name",
}
"""The form's field that an error concerns. ``InvalidParameter`` names its own; any
other error concerns the whole form."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a resource, in addition to Django's own."""

    name: str
    """Last segment of its URL."""

    view: Callable[["ResourceAdmin", HttpRequest, Any], HttpResponse]
    permission: str
    """Permissions it needs besides that to view the resource."""

    methods: tuple[str, ...] = ("GET",)


class ResourceForm(AnyForm):
    """A form with fields that only the operation validates."""

    fault: ClassVar[SyncError | None] = None
    """The error that the operation raised, if any."""

    def clean(self) -> dict[str, Any] | None:
        """Show the operation's error at its field."""
        if self.fault is not None:
            field = _field_of(self.fault)
            self.add_error(
                field if field in self.fields else None, describe(self.fault)
            )
        return super().clean()

    def _get_validation_exclusions(self) -> set[str]:
        # Exclude all: the name of an expired Stream is free even while its row exists.
        return {field.name for field in self._meta.model._meta.fields}


class ResourceAdmin(AnyAdmin):
    """Admin of a resource that only operations can change."""

    form = ResourceForm
    pages: ClassVar[tuple[Page, ...]] = ()
    """The resource's pages in addition to Django's own."""
    show_full_result_count = False
    ordering = ("-date_created",)
    list_per_page = 50
    named_by: ClassVar[tuple[str, ...]] = ("unique_name",)
    """Fields that are searched besides the SID."""

    search_hints: ClassVar[tuple[str | Promise, str | Promise]] = ("", "")
    """Help texts of the search, for any part of a name and for its start;
    ``search_help_text`` would leave the field without a label:
    https://dequeuniversity.com/rules/axe/4.10/label-title-only."""

    class Media:
        js = (forms.Script("sync_streams/list.js", type="module"),)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form again, with the error, when the operation refuses.

        Everything done until then has been rolled back, including the log entry.
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
            # Another operator may just have removed it, with the same result.
            with suppress(NotFound):
                self.delete_model(request, resource)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        part = "__icontains" if self._finds_substrings() else "__istartswith"
        return ("sid__startswith", *(f"{name}{part}" for name in self.named_by))

    def search_hint(self) -> str | Promise:
        """Return the help text of the search."""
        by_part, by_beginning = self.search_hints
        return by_part if self._finds_substrings() else by_beginning

    def _finds_substrings(self) -> bool:
        return finds_substrings(self.model._default_manager.db)

    def get_list_display(self, request: HttpRequest) -> Any:
        name, *rest = self.list_display
        watch = ["watch"] if request.user.has_perm(MAY_MONITOR) else []
        return [name, *watch, *rest]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return DatedList

    @admin.display(description=gettext_lazy("created"), ordering="date_created")
    def created(self, resource: Any) -> str:
        return show_date(resource.date_created)

    @admin.display(description=gettext_lazy("updated"), ordering="date_updated")
    def updated(self, resource: Any) -> str:
        return show_date(resource.date_updated)

    @admin.display(description=gettext_lazy("live"))
    def watch(self, resource: Any) -> str:
        """Return a link to the live monitor."""
        url = reverse(self._page_name("monitor"), args=[quote(resource.pk)])
        return format_html('<a href="{}">{}</a>', url, _("Watch"))

    def get_urls(self) -> list[Any]:
        return [self._route(page) for page in self.pages] + super().get_urls()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        resource = context.get("original")
        if resource is not None:
            context |= self.get_change_context(request, resource)
            show_visibly(context["adminform"])
        return super().render_change_form(request, context, *args, **kwargs)

    def get_change_context(self, request: HttpRequest, resource: Any) -> dict[str, Any]:
        """Return what the change page shows beside the form."""
        return {
            "subtitle": str(resource),
            "pages": self.page_urls(request, resource),
            "snippets": snippets(request, resource),
            "connections_url": self.connections_url(request, resource),
        }

    def connections_url(self, request: HttpRequest, resource: Service | Stream) -> str:
        """Return the URL of its connections, if the user may see them."""
        if not request.user.has_perms((MAY_MONITOR, MAY_VIEW_SERVICES)):
            return ""
        name = f"{self.admin_site.name}:{self.opts.app_label}_service_connections"
        query = {str(self.opts.model_name): resource.sid}
        return reverse(name, query=query)

    def page_urls(self, request: HttpRequest, resource: Any) -> dict[str, str]:
        """Return the URLs of the pages that the request's user may open."""
        return {
            page.name: reverse(self._page_name(page.name), args=[quote(resource.pk)])
            for page in self.pages
            if request.user.has_perm(page.permission)
        }

    def list_url(self) -> str:
        """Return the URL of the list."""
        return reverse(self._page_name("changelist"))

    def change_url(self, resource: Any) -> str:
        """Return the URL of a resource's form."""
        return reverse(self._page_name("change"), args=[quote(resource.pk)])

    def _page_name(self, page: str) -> str:
        return f"{self.admin_site.name}:{self._route_name(page)}"

    def _route_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _route(self, page: Page) -> URLPattern:
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            return self._open(page, request, unquote(object_id))

        route = f"<path:object_id>/{page.name}/"
        return path(
            route, self.admin_site.admin_view(view), name=self._route_name(page.name)
        )

    def _open(self, page: Page, request: HttpRequest, sid: str) -> HttpResponse:
        if request.method not in page.methods:
            return HttpResponseNotAllowed(page.methods)
        resource = self.get_object(request, sid)
        may_view = self.has_view_permission(request, resource)
        if not may_view or not request.user.has_perm(page.permission):
            raise PermissionDenied
        if resource is None:
            raise Http404
        return page.view(self, request, resource)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request for confirmation."""

    title: str
    text: str
    """What the action does, and what it does not do."""

    button: str
    form: forms.Form
    cancel_url: str
    action: str = ""
    """Name of the action, if it was started from the list."""

    selected: Sequence[str] = ()
    """SIDs that the action was started for."""

    is_about_all: bool = False
    """The action was started for the whole list, and ``selected`` is one of it: a form
    may have 1,000 fields."""


def ask(
    model_admin: ResourceAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    """Show the question; the confirmation is a POST to the same URL."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "opts": model_admin.opts,
        "media": model_admin.media + question.form.media,
        "question": question,
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/confirmation.html", context)


def answer_errors(view: View) -> View:
    """Make a view answer an operation's error as JSON, with its HTTP status."""

    @wraps(view)
    def wrapper(model_admin: Any, request: HttpRequest, resource: Any) -> HttpResponse:
        try:
            return view(model_admin, request, resource)
        except SyncError as error:
            return JsonResponse(_body_of(error), status=error.status)

    return wrapper


def _field_of(error: SyncError) -> str | None:
    if isinstance(error, InvalidParameter):
        return error.field or None
    return FIELDS.get(type(error))


def _body_of(error: SyncError) -> dict[str, Any]:
    return error.to_dict() | {"retry_after": error.retry_after}


def describe(error: SyncError) -> str:
    """Return an error as the admin shows it: the wire's text and Twilio's code."""
    return f"{error.text} ({error.code})"


def show_visibly(fields: AdminForm) -> None:
    """Make invisible characters in a form's read-only fields visible."""
    shown = copy(fields.form.instance)
    for name in fields.readonly_fields:
        if isinstance(text := getattr(shown, str(name), None), str):
            setattr(shown, str(name), visible(text))
    fields.form.instance = shown


def relative_expiry(stream: Stream) -> str:
    """Return when a Stream expires, relative to now."""
    if stream.date_expires is None:
        return _("never")
    if not stream.is_live():
        return _("%(time)s ago") % {"time": timesince(stream.date_expires)}
    return _("in %(time)s") % {"time": timeuntil(stream.date_expires)}


def label(resource: Service | Stream) -> str:
    """Return the resource's name, if any, with invisible characters made visible."""
    name = resource.unique_name or getattr(resource, "friendly_name", None)
    return visible(name) if name else "–"
