"""docs/asyncapi.json: every frame in the documents, which tests replay, matches it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs.generate.asyncapi import document, examples
from sync_streams.websocket.consumers import HANDLERS

SOCKETS = {
    "jsonSocket": ("wire-websocket.md", "type"),
    "twilsock": ("wire-twilsock.md", "method"),
}
ACTIONS = {">": "receive", "<": "send"}


def messages(socket: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["channels"][socket]["messages"]
    return found


@pytest.mark.parametrize("socket", SOCKETS)
def test_every_frame_of_the_documents_fits_its_description(socket: str) -> None:
    page, key = SOCKETS[socket]
    known, seen = messages(socket), set()

    for mark, frame in examples(page):
        if frame[key] == "dance":
            continue  # the example of an unknown frame
        name = f"{ACTIONS[mark]}.{frame[key]}"
        Draft202012Validator(known[name]["payload"]).validate(frame)
        seen.add(name)

    assert {name for name in known if name not in seen} == set()


@pytest.mark.parametrize("socket", SOCKETS)
def test_a_frame_without_a_required_field_does_not_fit(socket: str) -> None:
    _, key = SOCKETS[socket]
    for message in messages(socket).values():
        schema = Draft202012Validator(message["payload"])

        assert not schema.is_valid({key: "something else"})


def test_every_request_that_the_server_knows_is_described() -> None:
    described = {
        name.removeprefix("receive.")
        for name in messages("jsonSocket")
        if name.startswith("receive.")
    }

    assert set(HANDLERS) == described
