"""Calls to the REST API of a running site, with its account's credentials."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

import requests

from tests.clients.accounts import ACCOUNT, Account

WAIT_SECONDS = 30
SERVICES = "/v1/Services"


class Site(Protocol):
    """A running site, and an account that it knows."""

    @property
    def base_url(self) -> str:
        """Its origin, ``http://host:port``."""

    @property
    def account(self) -> Account:
        """The account that it accepts."""


@dataclass(frozen=True)
class LocalSite:
    """A server of this machine that has the tests' own settings."""

    port: int
    account: Account = ACCOUNT

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def request(
    site: Site,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    **fields: object,
) -> requests.Response:
    """Send a request to any path and return the response, whatever it says."""
    return requests.request(
        method,
        site.base_url + path,
        auth=site.account.login,
        data=fields,
        headers=headers,
        timeout=WAIT_SECONDS,
        allow_redirects=False,
    )


def call(site: Site, method: str, path: str, **fields: object) -> Any:
    """Call ``/v1/Services…`` and return the body; an error fails the test."""
    answer = request(site, method, SERVICES + path, None, **fields)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def post(site: Site, path: str, **fields: object) -> Any:
    """POST to ``/v1/Services…`` and return the body."""
    return call(site, "POST", path, **fields)


def publish(site: Site, stream: str, data: object, service: str = "default") -> str:
    """Publish a Message and return its SID."""
    path = f"/{service}/Streams/{stream}/Messages"
    return str(post(site, path, Data=json.dumps(data, ensure_ascii=False))["sid"])
