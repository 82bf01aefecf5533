"""Authentication of Django REST framework's views with an account's credentials."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.settings import api_settings

from .credentials import CHALLENGE, authenticate


class BasicAuthentication(BaseAuthentication):
    """Sets ``request.auth`` to the account's SID; there is no Django user.

    ``request.user`` is the framework's unauthenticated user, because a site may not
    have ``django.contrib.auth``.
    """

    def authenticate(self, request: Request) -> tuple[Any, str]:
        account_sid = authenticate(
            request.META.get("HTTP_AUTHORIZATION", ""),
            request.META.get("REMOTE_ADDR") or "",
        )
        nobody: Any = api_settings.UNAUTHENTICATED_USER
        return nobody and nobody(), account_sid

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
