"""Views of Twilio's REST API: each parses, calls one operation and responds.

See https://www.twilio.com/docs/sync/api.
"""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from sync_streams import operations
from sync_streams.delivery.tracing import continuing
from sync_streams.errors import NotFound
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import REST_ACTOR
from sync_streams.operations.databases import release

from .links import root_url, services_url, streams_url
from .messages import read_message_data
from .pagination import Page, PageQuery
from .policies import SyncViewSet
from .serializers import (
    ServiceParameters,
    ServiceSerializer,
    StreamChanges,
    StreamParameters,
    StreamSerializer,
)


class ServiceViewSet(SyncViewSet):
    """``/v1/Services``, see https://www.twilio.com/docs/sync/api/service."""

    def create(self, request: Request) -> Response:
        fields = self.read(ServiceParameters)
        service = operations.create_service(self.account_sid, **fields)
        return Response(_describe_service(request, service), status=201)

    def list(self, request: Request) -> Response:
        query = PageQuery.read(request.query_params)
        page = Page.of(operations.list_services(self.account_sid), query)
        root = root_url(request)
        records = ServiceSerializer(page.records, many=True, context={"root": root})
        meta = page.to_meta(services_url(root), "services")
        return Response({"meta": meta, "services": records.data})

    def retrieve(self, request: Request, service_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        return Response(_describe_service(request, service))

    def update(self, request: Request, service_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        fields = self.read(ServiceParameters)
        service = operations.update_service(service, **fields)
        return Response(_describe_service(request, service))

    def destroy(self, request: Request, service_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        operations.remove_service(service)
        return Response(status=204)


class StreamViewSet(SyncViewSet):
    """``…/Streams``, see https://www.twilio.com/docs/sync/api/stream-resource."""

    def create(self, request: Request, service_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        fields = self.read(StreamParameters)
        stream = operations.create_stream(service, **fields)
        return Response(_describe_stream(request, stream), status=201)

    def list(self, request: Request, service_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        query = PageQuery.read(request.query_params)
        page = Page.of(operations.list_streams(service), query)
        root = root_url(request)
        records = StreamSerializer(page.records, many=True, context={"root": root})
        meta = page.to_meta(streams_url(root, service.sid), "streams")
        return Response({"meta": meta, "streams": records.data})

    def retrieve(self, request: Request, service_ref: str, stream_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        stream = operations.get_stream(service, stream_ref)
        return Response(_describe_stream(request, stream))

    def update(self, request: Request, service_ref: str, stream_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        fields = self.read(StreamChanges)
        stream = operations.update_stream(service, stream_ref, **fields)
        return Response(_describe_stream(request, stream))

    def destroy(self, request: Request, service_ref: str, stream_ref: str) -> Response:
        service = operations.get_service(self.account_sid, service_ref)
        operations.remove_stream(service, stream_ref)
        return Response(status=204)


class MessageViewSet(SyncViewSet):
    """``…/Messages``, see https://www.twilio.com/docs/sync/api/stream-message-resource.

    Messages are never stored, so all one can do is publish them.
    """

    def create(self, request: Request, service_ref: str, stream_ref: str) -> Response:
        service = operations.find_service(self.account_sid, service_ref)
        data = read_message_data(self.parameters)
        with continuing(request.headers):
            message = operations.publish(
                service, stream_ref, data, actor=REST_ACTOR, before_broadcast=release
            )
        return Response(message, status=201)


class UnknownViewSet(SyncViewSet):
    """Any other path; 404 needs no authentication, since it reveals nothing."""

    authentication_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


def _describe_service(request: Request, service: Service) -> Any:
    return ServiceSerializer(service, context={"root": root_url(request)}).data


def _describe_stream(request: Request, stream: Stream) -> Any:
    return StreamSerializer(stream, context={"root": root_url(request)}).data
