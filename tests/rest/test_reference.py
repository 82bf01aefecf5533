"""The description of the API: fresh, valid, served, and in line with Twilio's.

``contract.json`` holds the names, types, patterns and statuses of Twilio's public
OpenAPI description, https://github.com/twilio/twilio-oai (twilio_sync_v1.json).
"""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve
from openapi_spec_validator import validate
from pytest_django import Settings

from docs.generate.openapi import document
from sync_streams.rest.reference import read_document

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text())
OPERATIONS = [
    (path, method) for path, item in CONTRACT["paths"].items() for method in item
]
FORM = "application/x-www-form-urlencoded"


def operation(path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][path][method]
    return found


def form(path: str, method: str) -> dict[str, Any]:
    schema: dict[str, Any] = operation(path, method)["requestBody"]["content"][FORM]
    return schema["schema"]  # type: ignore[no-any-return] # of a JSON document


def main_type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    return str(kind[0] if isinstance(kind, list) else kind)


def test_shipped_document_is_that_of_this_code() -> None:
    assert read_document() == document(), "run python -m docs.generate"


def test_document_is_valid() -> None:
    validate(document())


def test_paths_and_methods_are_twilios() -> None:
    ours = {
        path: set(item) - {"parameters"} for path, item in document()["paths"].items()
    }

    assert ours == {path: set(item) for path, item in CONTRACT["paths"].items()}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_statuses_and_query_are_twilios(path: str, method: str) -> None:
    wanted, found = CONTRACT["paths"][path][method], operation(path, method)

    good = [status for status in found["responses"] if status < "400"]
    query = {one["name"]: one["schema"] for one in found.get("parameters", [])}
    assert good == wanted["statuses"]
    assert query.keys() == wanted.get("query", {}).keys()
    for name, schema in wanted.get("query", {}).items():
        bounds = {k: v for k, v in schema.items() if k in {"minimum", "maximum"}}
        assert bounds.items() <= query[name].items()
        assert main_type(query[name]) == schema["type"]


@pytest.mark.parametrize(("path", "method"), [o for o in OPERATIONS if o[1] == "post"])
def test_parameters_of_bodies_are_twilios(path: str, method: str) -> None:
    wanted, found = CONTRACT["paths"][path][method], form(path, method)

    assert found["properties"].keys() == wanted["body"].keys()
    assert found.get("required", []) == wanted["required"]
    for name, schema in wanted["body"].items():
        if "type" in schema:
            assert main_type(found["properties"][name]) == schema["type"]


@pytest.mark.parametrize("kind", CONTRACT["schemas"])
def test_fields_of_responses_are_twilios(kind: str) -> None:
    found = document()["components"]["schemas"][kind]["properties"]

    assert found.keys() == CONTRACT["schemas"][kind].keys()
    for name, schema in CONTRACT["schemas"][kind].items():
        if "type" in schema:
            assert main_type(found[name]) == schema["type"], name
        if "pattern" in schema:
            assert found[name]["pattern"][:3] == schema["pattern"][:3]
        if schema.get("format") == "date-time":
            assert found[name]["format"] == "date-time"


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_is_routed(path: str, method: str) -> None:
    view = resolve(path.replace("{", "").replace("}", "")).func

    assert method in view.actions  # type: ignore[attr-defined] # of view sets


def test_document_is_served_to_anyone_with_the_address_of_the_site(
    client: Client, settings: Settings
) -> None:
    settings.SYNC_STREAMS = {
        **settings.SYNC_STREAMS,
        "PUBLIC_URL": "https://sync.example.com",
    }

    answer = client.get("/v1/openapi.json")

    assert answer.status_code == 200
    assert answer.json()["servers"] == [{"url": "https://sync.example.com"}]
    assert answer.json()["paths"] == document()["paths"]


def test_page_shows_every_operation_and_loads_nothing(client: Client) -> None:
    answer = client.get("/v1/reference")
    page = answer.content.decode()

    assert answer["Content-Security-Policy"].startswith("default-src 'none'; ")
    for path, method in OPERATIONS:
        assert f"<b>{method.upper()}</b> {path}" in page
    assert "<script" not in page
    assert 'src="' not in page


@pytest.mark.parametrize("path", ["/v1/openapi.json", "/v1/reference"])
def test_description_can_only_be_read(client: Client, path: str) -> None:
    answer = client.post(path)

    assert (answer.status_code, answer.json()["code"]) == (405, 20004)
