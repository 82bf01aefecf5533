"""The API's description: ``/v1/openapi.json``, and the same as a page for people.

Both are public and reveal nothing about a site except its address. The file is
generated (``python -m docs.generate``); only the server's URL is filled in.
"""

import json
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from django.template import Context, Engine
from rest_framework.request import Request
from rest_framework.response import Response

from .links import root_url
from .policies import SyncViewSet

APP = Path(__file__).parents[1]
PAGE = "sync_streams/reference.html"
BOUNDS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {:,}"),
    ("maximum", "at most {:,}"),
)
"""Keywords of JSON Schema, and how the page words them."""


@lru_cache(maxsize=1)
def read_document() -> dict[str, Any]:
    """Return the description that ships with the app."""
    document: dict[str, Any] = json.loads((APP / "openapi.json").read_text())
    return document


class ReferenceViewSet(SyncViewSet):
    """``/v1/openapi.json`` and ``/v1/reference``."""

    authentication_classes = ()

    def document(self, request: Request) -> Response:
        server = {"url": root_url(request).removesuffix("/v1")}
        return Response(read_document() | {"servers": [server]})

    def page(self, request: Request) -> HttpResponse:
        # Its own engine: a project that only serves an API may not have one configured.
        template = Engine(dirs=[str(APP / "templates")]).get_template(PAGE)
        context = {"document": read_document(), "root": root_url(request)}
        page = template.render(Context({**context, "operations": _operations()}))
        return HttpResponse(page, headers={"Content-Security-Policy": _policy()})


@lru_cache(maxsize=1)
def _policy() -> str:
    """Return the page's policy: its own style sheet and nothing else.

    A site's policy usually forbids style sheets within a page.
    """
    text = (APP / "templates" / PAGE).read_text(encoding="utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'"


def _operations() -> list[dict[str, Any]]:
    components = read_document()["components"]
    return [
        {
            "method": method.upper(),
            "path": path,
            "operation": operation,
            "parameters": _parameters(operation),
            "responses": {
                status: components["responses"].get(status, response)["description"]
                for status, response in operation["responses"].items()
            },
        }
        for path, item in read_document()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def _parameters(operation: dict[str, Any]) -> list[dict[str, str]]:
    query = operation.get("parameters", [])
    contents = [*operation.get("requestBody", {}).get("content", {}).values()]
    form: dict[str, Any] = contents[0]["schema"] if contents else {}
    body = [
        {"name": name, "in": "body", "schema": schema}
        for name, schema in form.get("properties", {}).items()
    ]
    return [
        {"name": one["name"], "in": one["in"], "value": _value(one)}
        for one in (*query, *body)
    ]


def _value(parameter: dict[str, Any]) -> str:
    schema: dict[str, Any] = parameter["schema"]
    bounds = [text.format(schema[key]) for key, text in BOUNDS if key in schema]
    described = schema.get("description", parameter.get("description", ""))
    return f"{', '.join([schema['type'], *bounds])}. {described}"
