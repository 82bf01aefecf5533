"""Errors that operations raise, with the codes of Twilio's error dictionary.

::

    SyncError
    ├── InvalidParameter      20001 400
    ├── AuthenticationFailed  20003 401
    ├── MethodNotAllowed      20004 405
    ├── InvalidToken          20101 401
    │   ├── InvalidTokenHeader    20102 401
    │   ├── InvalidTokenIssuer    20103 401
    │   ├── TokenExpired          20104 401
    │   ├── TokenNotYetValid      20105 401
    │   ├── InvalidTokenGrants    20106 401
    │   ├── InvalidTokenSignature 20107 401
    │   └── TokenMismatch         51215 401
    ├── QuotaExceeded         20403 403
    ├── NotFound              20404 404
    │   ├── ServiceNotFound       54050
    │   ├── StreamNotFound        54250
    │   └── UniqueNameNotFound    54300
    ├── TooManyRequests       20429 429
    ├── InternalError         20500 500
    ├── ServiceUnavailable    20503 503
    ├── DataTooLarge          54006 413
    ├── AccessForbidden       54007 403
    ├── InvalidJSON           54008 400
    ├── RateLimited           54009 429
    ├── InvalidTtl            54011 400
    ├── InvalidWebhookUrl     54051 400
    ├── InvalidFriendlyName   54053 400
    ├── InvalidMessageData    54251 400
    ├── UniqueNameTaken       54301 409
    ├── InvalidUniqueName     54302 400
    ├── TooManySubscriptions  54419 429
    ├── InvalidPageToken      54453 400, in rest.pagination
    └── InvalidPageSize       54454 400, in rest.pagination

Texts are part of the wire format: English, short, no full stop, never translated.
See https://www.twilio.com/docs/api/errors.
"""

from typing import ClassVar


class SyncError(Exception):
    """Base class of every error that an operation raises; never raised itself."""

    code: ClassVar[int]
    """Code in Twilio's error dictionary."""

    status: ClassVar[int]
    """HTTP status, also of a tunnelled reply."""

    message: ClassVar[str]
    """Default text, if the error is raised without a more specific one."""

    temporary: ClassVar[bool] = False
    """Whether the same request may succeed later."""

    retry_after: float | None = None
    """Seconds until then, if known."""

    def __init__(self, message: str = "") -> None:
        self.text = message or self.message
        super().__init__(self.text)

    @property
    def more_info(self) -> str:
        """URL of the page that explains the code."""
        return f"https://www.twilio.com/docs/errors/{self.code}"

    def to_dict(self) -> dict[str, object]:
        """Return the fields that every transport sends."""
        return {
            "code": self.code,
            "message": self.text,
            "more_info": self.more_info,
            "status": self.status,
        }


class InvalidParameter(SyncError):
    """A parameter is invalid, and no more specific error applies."""

    code, status, message = 20001, 400, "Invalid parameter"

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(message)
        self.field = field
        """Name of the model's field that it is about, if it is about one."""


class AuthenticationFailed(SyncError):
    """REST credentials are missing or wrong."""

    code, status, message = 20003, 401, "Authenticate"


class MethodNotAllowed(SyncError):
    """The route exists but does not support the HTTP method."""

    code, status, message = 20004, 405, "Method not allowed"


class InvalidToken(SyncError):
    """The access token is malformed or not acceptable."""

    code, status, message = 20101, 401, "Invalid Access Token"


class InvalidTokenHeader(InvalidToken):
    """The access token's header names another type or algorithm."""

    code, message = 20102, "Invalid Access Token header"


class InvalidTokenIssuer(InvalidToken):
    """The access token's issuer is not an API key of its account."""

    code, message = 20103, "Invalid Access Token issuer/subject"


class TokenExpired(InvalidToken):
    """The access token has expired, or expires more than 24 hours from now."""

    code, message = 20104, "Access Token expired or expiration date invalid"


class TokenNotYetValid(InvalidToken):
    """The access token's ``nbf`` is in the future."""

    code, message = 20105, "Access Token not yet valid"


class InvalidTokenGrants(InvalidToken):
    """The access token lacks an identity or a usable Sync grant."""

    code, message = 20106, "Invalid Access Token grants"


class InvalidTokenSignature(InvalidToken):
    """The access token was signed with another secret."""

    code, message = 20107, "Invalid Access Token signature"


class TokenMismatch(InvalidToken):
    """A new token has an identity or Service different from the connection's."""

    code, message = 51215, "Access Token has another identity or service"


class QuotaExceeded(SyncError):
    """The account has reached its maximum number of Services or Streams."""

    code, status, message = 20403, 403, "Forbidden"


class NotFound(SyncError):
    """The resource does not exist; over REST the code is always 20404."""

    code, status, message = 20404, 404, "The requested resource was not found"


class ServiceNotFound(NotFound):
    """No Service of this account has this SID or unique name."""

    code, message = 54050, "Service Instance not found"


class StreamNotFound(NotFound):
    """No live Stream of the Service has this SID."""

    code, message = 54250, "Message Stream not found"


class UniqueNameNotFound(NotFound):
    """No live Stream of the Service has this unique name."""

    code, message = 54300, "Unique name not found"


class TooManyRequests(SyncError):
    """A connection exceeds its frame rate, or the process is full."""

    code, status, message = 20429, 429, "Too Many Requests"
    temporary = True


class InternalError(SyncError):
    """The server failed; see its log."""

    code, status, message = 20500, 500, "Internal Server Error"


class ServiceUnavailable(SyncError):
    """A backing service does not respond; nothing was changed.

    If the connection to Redis failed after a Message was sent over it, the Message may
    have been published nevertheless.
    """

    code, status, message = 20503, 503, "Service unavailable"
    temporary = True

    def __init__(self, message: str = "", *, is_unpublished: bool = False) -> None:
        super().__init__(message)
        self.is_unpublished = is_unpublished
        """Whether the Message was certainly not published, so that retrying elsewhere
        cannot deliver it twice."""


class DataTooLarge(SyncError):
    """A Message's data exceeds 4,096 bytes, or a request its own limit."""

    code, status, message = 54006, 413, "Request entity too large"


class AccessForbidden(SyncError):
    """The identity may not do this."""

    code, status, message = 54007, 403, "Access forbidden for identity"


class InvalidJSON(SyncError):
    """The data is not strict JSON, or not an object."""

    code, status = 54008, 400
    message = "Invalid request body: the type of one of the attributes is invalid"


class RateLimited(SyncError):
    """The Stream has used up its publish rate."""

    code, status, message = 54009, 429, "Rate limit exceeded"
    temporary = True
    retry_after: float

    def __init__(self, stream_sid: str, retry_after: float) -> None:
        super().__init__(f"Rate limit exceeded for write-stream-{stream_sid}")
        self.retry_after = retry_after


class InvalidTtl(SyncError):
    """A TTL is not a whole number of seconds from 0 to 31,536,000."""

    code, status, message = 54011, 400, "Invalid TTL"


class InvalidWebhookUrl(SyncError):
    """A webhook URL is not an absolute http or https URL."""

    code, status, message = 54051, 400, "Invalid webhook URL"


class InvalidFriendlyName(SyncError):
    """A friendly name does not have 1 to 255 characters."""

    code, status, message = 54053, 400, "Invalid friendly name"


class InvalidMessageData(SyncError):
    """A Message has no data."""

    code, status, message = 54251, 400, "Invalid Message Stream Message data"


class UniqueNameTaken(SyncError):
    """Another live Stream of the Service has the unique name."""

    code, status, message = 54301, 409, "Unique name already exists"


class InvalidUniqueName(SyncError):
    """A unique name is too long, looks like a SID, or is not addressable or visible."""

    code, status = 54302, 400
    message = (
        "Invalid unique name. Expected a string with length 1-320 "
        "not matching the SID pattern [A-Z]{2}[a-f0-9]{32}"
    )


class TooManySubscriptions(SyncError):
    """A connection has reached its maximum number of subscriptions."""

    code, status, message = 54419, 429, "Subscription limit exceeded"
