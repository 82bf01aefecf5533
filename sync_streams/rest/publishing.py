"""Publishing over REST without a view: from the parts of a request to its response.

The caller, an ASGI application or a server's protocol class, passes in the parts. The
response is the same as that of ``views.MessageViewSet``, since both parse, decide and
write with the same functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final

from sync_streams import operations
from sync_streams.cache.lookups import cached_service
from sync_streams.delivery.tracing import continuing
from sync_streams.errors import MethodNotAllowed, NotFound
from sync_streams.operations.actor import REST_ACTOR
from sync_streams.operations.data import Message

from .answers import (
    common_headers,
    describe_error,
    error_headers,
    error_status,
    is_unforeseen,
    to_error,
)
from .bodies import JSON, read_parameters, write_json
from .credentials import authenticate
from .links import names_one_resource
from .messages import read_message_data, write_message

ALLOW: Final = "POST, OPTIONS"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishRequest:
    """A request to the Messages of a Stream."""

    method: str
    """In upper case."""

    path: str
    """Decoded, including any prefix before ``/v1``."""

    service_ref: str
    stream_ref: str
    content_type: str

    address: str
    """The client's IP address, or empty."""

    unpublished_status: str = ""
    """The header ``X-Unpublished-Status``; see ``answers.error_status``."""

    trace_context: Mapping[str, str] = field(default_factory=dict)
    """The headers ``traceparent`` and ``tracestate``, if it has them."""

    # Neither secrets nor Message data may appear in a log or an error report.
    authorization: str = field(repr=False)
    body: bytes = field(repr=False)
    """As sent; if it is too long, more than ``MAX_BODY_BYTES`` of it."""

    started: float = field(default_factory=perf_counter)

    def again(self, body: bytes) -> "PublishRequest":
        """Return the same request, made now, with another body."""
        # A third of the time of dataclasses.replace.
        return PublishRequest(
            method=self.method,
            path=self.path,
            service_ref=self.service_ref,
            stream_ref=self.stream_ref,
            content_type=self.content_type,
            address=self.address,
            unpublished_status=self.unpublished_status,
            trace_context=self.trace_context,
            authorization=self.authorization,
            body=body,
        )


@dataclass(frozen=True, slots=True)
class PublishResponse:
    """The response to the client."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    seconds: float = 0
    """Time taken."""

    failure: Exception | None = None
    """The exception, if the request failed."""


Tell = Callable[[PublishResponse], None]
"""Called with the response to a request."""


async def answer(request: PublishRequest) -> PublishResponse:
    """Handle a request; a failure becomes an error response."""
    try:
        account_sid = _admit(request)
        if request.method == "OPTIONS":
            return _finish(request, 204)
        ref = request.service_ref
        service = await operations.afind_service(account_sid, ref)
        data = _read_data(request)
        with continuing(request.trace_context):
            message = await operations.apublish(
                service, request.stream_ref, data, actor=REST_ACTOR
            )
    except Exception as exception:
        return refuse(request, exception)
    return _finish(request, 201, write_message(message))


def start(request: PublishRequest, tell: Tell) -> bool:
    """Start what :func:`answer` does, on the event loop, if that needs no waiting.

    Returns:
        Whether that was possible, and *tell* is called with the response, once: before
        this returns, or when Redis has replied. If not, nothing was done.
    """

    def told(message: Message, error: Exception | None) -> None:
        if error is None:
            tell(_finish(request, 201, write_message(message)))
        else:
            tell(refuse(request, error))

    try:
        account_sid = _admit(request)
        service = cached_service(account_sid, request.service_ref)
        if service is None or request.method == "OPTIONS":
            return False
        data = _read_data(request)
        with continuing(request.trace_context):
            return operations.start_publish(
                service, request.stream_ref, data, told, actor=REST_ACTOR
            )
    except Exception as exception:
        tell(refuse(request, exception))
        return True


def _admit(request: PublishRequest) -> str:
    account_sid = authenticate(request.authorization, request.address)
    if request.method not in SAFE_METHODS and not names_one_resource(request.path):
        raise NotFound
    if request.method not in {"POST", "OPTIONS"}:
        raise MethodNotAllowed
    return account_sid


def _read_data(request: PublishRequest) -> object:
    return read_message_data(read_parameters(request.body, request.content_type))


def refuse(request: PublishRequest, exception: Exception) -> PublishResponse:
    """Return the error response for an exception."""
    error = to_error(exception)
    body = write_json(describe_error(error, request.path))
    reply = _finish(request, error_status(error, request.unpublished_status), body)
    reply.headers.update(error_headers(error))
    if not is_unforeseen(exception):
        # Its frames refer to the caller's, and so to this reply and to the body, all of
        # which would stay in memory until garbage is collected.
        exception.__traceback__ = None
        exception.__cause__ = exception.__context__ = None
    return replace(reply, failure=exception)


def _finish(request: PublishRequest, status: int, body: bytes = b"") -> PublishResponse:
    seconds = perf_counter() - request.started
    headers = {
        **({"Content-Type": JSON} if body else {}),
        "Content-Length": str(len(body)),
        "Allow": ALLOW,
        **common_headers(seconds),
    }
    return PublishResponse(status, headers, body, seconds)
