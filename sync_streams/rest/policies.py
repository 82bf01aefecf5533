"""Policies of every view, whatever the host project's settings are."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ViewSet

from sync_streams.errors import NotFound
from sync_streams.logs import REQUEST_ID
from sync_streams.values.sids import new_sid

from .answers import common_headers
from .authentication import BasicAuthentication
from .bodies import Parameters
from .errors import exception_handler
from .links import names_one_resource
from .negotiation import OneFormat
from .parsers import ParameterParser
from .renderers import JSONRenderer


class SyncViewSet(ViewSet):
    """A view that serves JSON, and only to an authenticated account."""

    authentication_classes: Sequence[type[BaseAuthentication]] = (BasicAuthentication,)
    content_negotiation_class = OneFormat
    metadata_class = None
    parser_classes = (ParameterParser,)
    permission_classes = ()
    renderer_classes = (JSONRenderer,)
    schema = None
    """Keeps this API, which Twilio defines, out of the host project's schema."""

    throttle_classes = ()
    versioning_class = None

    @property
    def account_sid(self) -> str:
        """SID of the account that makes the request."""
        return cast(str, self.request.auth)

    @property
    def parameters(self) -> Parameters:
        """Parameters in the request's body."""
        return cast(Parameters, self.request.data)

    def initialize_request(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> Request:
        self.started = perf_counter()
        request.META[REQUEST_ID] = new_sid("RQ")
        # A chunked body has no length, and the framework would assume there is no body.
        request.META.setdefault("CONTENT_LENGTH", "-1")
        if request.encoding:
            # A header can name any Python codec, even one that does not produce text.
            request.encoding = "utf-8"
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS and not names_one_resource(request.path):
            raise NotFound

    def get_exception_handler(self) -> Callable[..., Response]:
        return exception_handler

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        request_id = request.META[REQUEST_ID]
        headers = common_headers(perf_counter() - self.started, request_id)
        for name, value in headers.items():
            response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    def options(  # type: ignore[override] # as the stubs themselves have it
        self, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """Respond with the ``Allow`` header, which every response has."""
        return Response(status=204)

    def read(self, kind: type[Serializer[Any]]) -> dict[str, Any]:
        """Return the request's parameters under the names used by the operations."""
        serializer = kind(data=self.parameters)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)
