"""Authentication of Django REST framework's views, by an account's credentials."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from .credentials import CHALLENGE, authenticate


class BasicAuthentication(BaseAuthentication):
    """Sets ``request.auth`` to the SID of the account; there is no Django user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, str]:
        account_sid = authenticate(request.META.get("HTTP_AUTHORIZATION", ""))
        return AnonymousUser(), account_sid

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
