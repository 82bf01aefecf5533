"""Publishing over REST without a view: from the parts of a request to its response.

The caller, an ASGI application or a server's protocol class, passes in the parts. The
response is the same as that of ``views.MessageViewSet``, since both parse, decide and
write with the same functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Final

from sync_streams import operations
from sync_streams.cache.lookups import cached_service
from sync_streams.delivery.tracing import continuing
from sync_streams.errors import MethodNotAllowed, NotFound, SyncError
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
from .credentials import Credentials, read_credentials, verify
from .links import names_one_resource
from .messages import read_message_data, write_message

ALLOW: Final = "POST, OPTIONS"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True)
class PublishRequest:
    """The head of a request to the Messages of a Stream.

    A publisher's requests usually have the same head, so it is evaluated once for all
    of them.
    """

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

    # It must not appear in a log or an error report.
    authorization: str = field(repr=False)

    @cached_property
    def credentials(self) -> Credentials | None:
        """The account's credentials, not yet verified."""
        return read_credentials(self.authorization)

    @cached_property
    def fault(self) -> type[SyncError] | None:
        """The error that it causes with any body and credentials."""
        if self.method not in SAFE_METHODS and not names_one_resource(self.path):
            return NotFound
        return None if self.method in {"POST", "OPTIONS"} else MethodNotAllowed


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


async def answer(
    request: PublishRequest, body: bytes, *, started: float
) -> PublishResponse:
    """Handle a request; a failure becomes an error response.

    Args:
        request: its head.
        body: as sent; if it is too long, more than ``MAX_BODY_BYTES`` of it.
        started: when it began, in the time of ``perf_counter``.
    """
    try:
        account_sid = _check_request(request)
        if request.method == "OPTIONS":
            return _finish(started, 204)
        ref = request.service_ref
        service = await operations.afind_service(account_sid, ref)
        data = _read_data(request, body)
        with continuing(request.trace_context):
            message = await operations.apublish(
                service, request.stream_ref, data, actor=REST_ACTOR
            )
    except Exception as exception:
        return refuse(request, exception, started=started)
    return _finish(started, 201, write_message(message))


def start(request: PublishRequest, body: bytes, tell: Tell, *, started: float) -> bool:
    """Start to do what :func:`answer` does, on the event loop, if it needs no waiting.

    Returns:
        Whether that was possible, and *tell* is called with the response, once: before
        this returns, or when Redis has replied. If not, nothing was done.
    """

    def told(message: Message, error: Exception | None) -> None:
        if error is None:
            tell(_finish(started, 201, write_message(message)))
        else:
            tell(refuse(request, error, started=started))

    try:
        account_sid = _check_request(request)
        service = cached_service(account_sid, request.service_ref)
        if service is None or request.method == "OPTIONS":
            return False
        data = _read_data(request, body)
        with continuing(request.trace_context):
            return operations.start_publish(
                service, request.stream_ref, data, told, actor=REST_ACTOR
            )
    except Exception as exception:
        tell(refuse(request, exception, started=started))
        return True


def _check_request(request: PublishRequest) -> str:
    account_sid = verify(request.credentials, request.address)
    if request.fault is not None:
        raise request.fault
    return account_sid


def _read_data(request: PublishRequest, body: bytes) -> object:
    return read_message_data(read_parameters(body, request.content_type))


def refuse(
    request: PublishRequest, exception: Exception, *, started: float
) -> PublishResponse:
    """Return the error response for an exception."""
    error = to_error(exception)
    body = write_json(describe_error(error, request.path))
    reply = _finish(started, error_status(error, request.unpublished_status), body)
    reply.headers.update(error_headers(error))
    if not is_unforeseen(exception):
        # Its frames refer to the caller's, and so to this reply and to the body, all of
        # which would stay in memory until the next garbage collection.
        exception.__traceback__ = None
        exception.__cause__ = exception.__context__ = None
    return replace(reply, failure=exception)


def _finish(started: float, status: int, body: bytes = b"") -> PublishResponse:
    seconds = perf_counter() - started
    headers = {
        **({"Content-Type": JSON} if body else {}),
        "Content-Length": str(len(body)),
        "Allow": ALLOW,
        **common_headers(seconds),
    }
    return PublishResponse(status, headers, body, seconds)
