"""Serializers: parameters of requests and JSON of responses, as Twilio defines them.

See https://www.twilio.com/docs/sync/api/service and
https://www.twilio.com/docs/sync/api/stream-resource.
"""

from typing import Any

from rest_framework import serializers

from sync_streams.errors import (
    InvalidFriendlyName,
    InvalidTtl,
    InvalidUniqueName,
    InvalidWebhookUrl,
)
from sync_streams.models import Service, Stream

from .fields import (
    BooleanParameter,
    ClearableParameter,
    NumberParameter,
    TextParameter,
    TtlParameter,
    WireDate,
)
from .links import service_url, stream_url


class ServiceParameters(serializers.Serializer[Any]):
    """Properties of a Service that a request can set."""

    FriendlyName = TextParameter(InvalidFriendlyName, source="friendly_name")
    WebhookUrl = ClearableParameter(InvalidWebhookUrl, source="webhook_url")
    WebhooksFromRestEnabled = BooleanParameter(source="webhooks_from_rest_enabled")
    ReachabilityWebhooksEnabled = BooleanParameter(
        source="reachability_webhooks_enabled"
    )
    AclEnabled = BooleanParameter(source="acl_enabled")
    ReachabilityDebouncingEnabled = BooleanParameter(
        source="reachability_debouncing_enabled"
    )
    ReachabilityDebouncingWindow = NumberParameter(
        source="reachability_debouncing_window"
    )


class StreamChanges(serializers.Serializer[Any]):
    """Properties of a Stream that can be changed."""

    Ttl = TtlParameter(InvalidTtl, source="ttl")


class StreamParameters(StreamChanges):
    """Properties of a new Stream that a request can set."""

    UniqueName = TextParameter(InvalidUniqueName, source="unique_name")


class ServiceSerializer(serializers.Serializer[Any]):
    """A Service in a response."""

    sid = serializers.CharField()
    unique_name = serializers.CharField()
    account_sid = serializers.CharField()
    friendly_name = serializers.CharField()
    date_created = WireDate()
    date_updated = WireDate()
    url = serializers.SerializerMethodField()
    webhook_url = serializers.CharField()
    webhooks_from_rest_enabled = serializers.BooleanField()
    reachability_webhooks_enabled = serializers.BooleanField()
    acl_enabled = serializers.BooleanField()
    reachability_debouncing_enabled = serializers.BooleanField()
    reachability_debouncing_window = serializers.IntegerField()
    links = serializers.SerializerMethodField()

    def get_url(self, service: Service) -> str:
        return service_url(self.context["root"], service.sid)

    def get_links(self, service: Service) -> dict[str, str]:
        # Clients expect all four entries; the first three products are not served.
        names = ("documents", "lists", "maps", "streams")
        return {name: f"{self.get_url(service)}/{name.title()}" for name in names}


class StreamSerializer(serializers.Serializer[Any]):
    """A Stream in a response."""

    sid = serializers.CharField()
    unique_name = serializers.CharField()
    account_sid = serializers.CharField()
    service_sid = serializers.CharField(source="service_id")
    url = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField()
    date_expires = WireDate()
    date_created = WireDate()
    date_updated = WireDate()
    created_by = serializers.CharField()

    def get_url(self, stream: Stream) -> str:
        return stream_url(self.context["root"], stream.service_id, stream.sid)

    def get_links(self, stream: Stream) -> dict[str, str]:
        return {"messages": f"{self.get_url(stream)}/Messages"}
