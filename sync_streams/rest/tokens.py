"""A view that gives a logged-in user an access token; the host project routes it.

Who is logged in, and how, is the project's business: its
``DEFAULT_AUTHENTICATION_CLASSES`` hold. See
https://www.django-rest-framework.org/api-guide/authentication/.
"""

from typing import Any

from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sync_streams.models import DEFAULT_SERVICE
from sync_streams.tokens import issue_token


class TokenView(APIView):
    """``POST`` answers ``{"token": "…", "identity": "…", "ttl": 3600}``.

    Routed as ``path("token/", TokenView.as_view(ttl=600))``. A POST, so that with
    sessions Django's CSRF protection holds and no page of others can read a token.
    """

    permission_classes = (IsAuthenticated,)
    schema = None

    account_sid = ""
    """Account whose key signs; by default the first one in the settings."""

    service = DEFAULT_SERVICE
    """SID or unique name of the Service that the token is for."""

    ttl = 3600
    """Seconds until the token lapses, at most 86,400."""

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        identity = self.get_identity(request)
        token = issue_token(
            identity, self.service, account_sid=self.account_sid, ttl=self.ttl
        )
        answer = {"token": token, "identity": identity, "ttl": self.ttl}
        return Response(answer, headers={"Cache-Control": "no-store"})

    def get_identity(self, request: Request) -> str:
        """Return who the token is for: the name that the user logs in with."""
        return str(request.user.get_username())
