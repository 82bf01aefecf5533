"""A view that issues access tokens to logged-in users; the host project routes it.

Authentication is up to the project: its ``DEFAULT_AUTHENTICATION_CLASSES`` apply. See
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
    """``POST`` returns ``{"token": "…", "identity": "…", "ttl": 3600}``.

    Route it as ``path("token/", TokenView.as_view(ttl=600))``. It takes only POST, so
    Django's CSRF protection applies with sessions and no other site can read a token.
    """

    permission_classes = (IsAuthenticated,)
    schema = None

    account_sid = ""
    """Account whose key signs; by default the first account in the settings."""

    service = DEFAULT_SERVICE
    """SID or unique name of the Service that the token is for."""

    ttl = 3600
    """Seconds until the token expires, at most 86,400."""

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        identity = self.get_identity(request)
        token = issue_token(
            identity, self.service, account_sid=self.account_sid, ttl=self.ttl
        )
        answer = {"token": token, "identity": identity, "ttl": self.ttl}
        return Response(answer, headers={"Cache-Control": "no-store"})

    def get_identity(self, request: Request) -> str:
        """Return the token's identity: the user name."""
        return str(request.user.get_username())
