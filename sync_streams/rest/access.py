"""Access to a Service over HTTP for receivers, with account credentials or a token.

The REST API itself accepts only account credentials. Transports that deliver Messages
over HTTP also accept access tokens, as ``Authorization: Bearer``.
"""

from django.http import HttpRequest

from sync_streams import operations
from sync_streams.errors import AccessForbidden
from sync_streams.models import Service
from sync_streams.operations.failures import read_token_from
from sync_streams.tokens import Identity
from sync_streams.values.accounts import Secret

from .credentials import authenticate


async def enter(
    request: HttpRequest, service_ref: str
) -> tuple[Service, Identity | None]:
    """Return the Service that a request may use, and the identity of its token, if any.

    Raises:
        AuthenticationFailed: 20003, credentials are missing or wrong.
        InvalidToken: 20101 to 20107.
        TooManyRequests: 20429, too many failed attempts from this address.
        ServiceNotFound: 54050.
        AccessForbidden: 54007, the token is for another Service.
        ServiceUnavailable: 20503, the database did not respond in time.
    """
    # Error reports show variables.
    header = Secret(request.META.get("HTTP_AUTHORIZATION", ""))
    address = request.META.get("REMOTE_ADDR", "")
    scheme, _, token = map(Secret, header.partition(" "))
    if scheme.lower() != "bearer":
        account_sid = authenticate(header, address)
        return await operations.afind_service(account_sid, service_ref), None
    identity = read_token_from(address, Secret(token.strip()))
    service = await operations.afind_service(identity.account_sid, service_ref)
    granted = await operations.afind_service(identity.account_sid, identity.service_ref)
    if granted.sid != service.sid:
        raise AccessForbidden
    return service, identity
