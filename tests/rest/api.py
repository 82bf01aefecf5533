"""A client of the REST API that sends what Twilio's clients send."""

import json
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client

from tests.clients.accounts import basic

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Api:
    """One account's client; answers are Django's responses."""

    def __init__(self, name: str, password: str) -> None:
        self._headers = {"Authorization": basic(name, password)}
        self._client = Client(raise_request_exception=False)

    def get(self, path: str, **query: object) -> HttpResponse:
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, **parameters: object) -> HttpResponse:
        return self.send("POST", path, urlencode(parameters))

    def post_json(self, path: str, parameters: object) -> HttpResponse:
        return self.send("POST", path, json.dumps(parameters), JSON)

    def delete(self, path: str) -> HttpResponse:
        return self.send("DELETE", path)

    def publish(self, path: str, data: object) -> HttpResponse:
        return self.post(path, Data=json.dumps(data))

    def send(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        content_type: str = FORM,
        **headers: str,
    ) -> HttpResponse:
        given = self._headers | {k.replace("_", "-"): v for k, v in headers.items()}
        response = self._client.generic(
            method, path, body, content_type=content_type, headers=given
        )
        return cast("HttpResponse", response)  # with what the client adds to it


def read(response: HttpResponse) -> Any:
    """Return the body of a response, which is always JSON."""
    assert response["Content-Type"] == "application/json"
    return json.loads(response.content)


def failure(response: HttpResponse) -> tuple[int, int, str]:
    """Return an error's status, code and text, once its shape is checked."""
    body = read(response)
    assert list(body) == ["code", "message", "more_info", "status"]
    assert body["status"] == response.status_code
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{body['code']}"
    return response.status_code, body["code"], body["message"]
