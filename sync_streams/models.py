"""Service and Stream, the only things stored. Messages never are.

See https://www.twilio.com/docs/sync/api/service and
https://www.twilio.com/docs/sync/api/stream-resource.
"""

from datetime import datetime
from typing import ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .values import utc
from .values.sids import is_sid, new_service_sid, new_stream_sid
from .values.text import visible
from .values.utc import UTCDateTimeField

DEFAULT_SERVICE = "default"
"""Unique name and alias of an account's first Service."""

SYSTEM = "system"
"""Creator of what REST or the server itself creates."""

MIN_DEBOUNCING_WINDOW_MS, MAX_DEBOUNCING_WINDOW_MS = 1_000, 30_000


class ServiceQuerySet(models.QuerySet["Service"]):
    """Queries for Services."""

    def by_ref(self, account_sid: str, ref: str) -> Self:
        """Filter for the account's Service with that SID or unique name."""
        field = "sid" if is_sid(ref) else "unique_name"
        return self.filter(account_sid=account_sid, **{field: ref})


class Service(models.Model):
    """A container of Streams, with the rules that apply to them."""

    sid = models.CharField(
        _("SID"),
        max_length=34,
        primary_key=True,
        default=new_service_sid,
        editable=False,
    )
    account_sid = models.CharField(_("account SID"), max_length=34, db_index=True)
    unique_name = models.CharField(
        _("unique name"), max_length=320, null=True, blank=True
    )
    friendly_name = models.CharField(
        _("friendly name"), max_length=255, null=True, blank=True
    )
    webhook_url = models.CharField(
        _("webhook URL"), max_length=2048, null=True, blank=True
    )
    webhooks_from_rest_enabled = models.BooleanField(
        _("webhooks from REST"), default=False
    )
    reachability_webhooks_enabled = models.BooleanField(
        _("reachability webhooks"), default=False
    )
    acl_enabled = models.BooleanField(_("access control"), default=False)
    reachability_debouncing_enabled = models.BooleanField(
        _("reachability debouncing"), default=False
    )
    reachability_debouncing_window = models.PositiveIntegerField(
        _("reachability debouncing window (ms)"),
        default=5_000,
        validators=[
            MinValueValidator(MIN_DEBOUNCING_WINDOW_MS),
            MaxValueValidator(MAX_DEBOUNCING_WINDOW_MS),
        ],
    )
    date_created = UTCDateTimeField(_("created"), default=timezone.now, editable=False)
    date_updated = UTCDateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        ordering: ClassVar = ["date_created", "sid"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account_sid", "unique_name"],
                name="sync_streams_service_unique_name",
            )
        ]

    def __str__(self) -> str:
        return visible(self.unique_name or self.friendly_name or self.sid)


class StreamQuerySet(models.QuerySet["Stream"]):
    """Queries for Streams."""

    def live(self, now: datetime | None = None) -> Self:
        """Exclude expired Streams: they are gone even while their row remains."""
        moment = now or utc.now()
        return self.filter(Q(date_expires=None) | Q(date_expires__gt=moment))

    def expired(self, now: datetime | None = None) -> Self:
        """Filter for expired Streams."""
        return self.filter(date_expires__lte=now or utc.now())

    def by_name(self, unique_name: str | None) -> Self:
        """Filter for the Stream with that unique name; without a name, no Stream."""
        return self.filter(unique_name=unique_name) if unique_name else self.none()

    def by_ref(self, ref: str) -> Self:
        """Filter for the Stream with that SID or unique name."""
        return self.filter(**{"sid" if is_sid(ref) else "unique_name": ref})


class Stream(models.Model):
    """A live channel of Messages, identified by its SID or unique name."""

    sid = models.CharField(
        _("SID"),
        max_length=34,
        primary_key=True,
        default=new_stream_sid,
        editable=False,
    )
    account_sid = models.CharField(
        _("account SID"), max_length=34, db_index=True, editable=False
    )
    service = models.ForeignKey(
        Service,
        verbose_name=_("service"),
        on_delete=models.CASCADE,
        related_name="streams",
    )
    unique_name = models.CharField(
        _("unique name"), max_length=320, null=True, blank=True
    )
    date_expires = UTCDateTimeField(_("expires"), null=True, blank=True, db_index=True)
    date_created = UTCDateTimeField(_("created"), default=timezone.now, editable=False)
    date_updated = UTCDateTimeField(_("updated"), default=timezone.now, editable=False)
    created_by = models.CharField(
        _("created by"), max_length=256, default=SYSTEM, editable=False
    )

    objects = StreamQuerySet.as_manager()

    class Meta:
        verbose_name = _("stream")
        verbose_name_plural = _("streams")
        ordering: ClassVar = ["date_created", "sid"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service", "unique_name"],
                name="sync_streams_stream_unique_name",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["service", "date_created", "sid"],
                name="sync_streams_stream_listing",
            )
        ]
        permissions: ClassVar = [
            ("monitor_stream", _("Can watch a stream's messages live")),
            ("publish_message", _("Can publish messages to a stream")),
        ]

    def __str__(self) -> str:
        return visible(self.unique_name or self.sid)

    def is_live(self, now: datetime | None = None) -> bool:
        """Return whether the Stream has not expired."""
        return self.date_expires is None or self.date_expires > (now or utc.now())
