"""Signatures, against Twilio's own validators."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sync_streams.webhooks.webhook import Webhook
from tests.programs import ROOT, cannot_have

NODE_PACKAGES = ROOT / "tests/compat"
VALIDATE = """
const { validateRequest } = require("twilio");
const seen = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(seen.map((one) => validateRequest("tok", ...one))));
"""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def signed(url: str, parameters: dict[str, str], auth_token: str = "tok") -> str:
    webhook = Webhook(url=url, account_sid="", service_sid="", parameters=parameters)
    return webhook.sign(auth_token)


def test_signature_of_the_known_example() -> None:
    parameters = {"EventType": "stream_created", "AccountSid": "AC1", "Ünï": "é b"}

    signature = signed("https://example.com/h?x=1", parameters)

    assert signature == "KquBJ8paiz2tF/IslydFJzr84+A="


@given(st.dictionaries(TEXT, TEXT), TEXT)
def test_twilios_validator_agrees(parameters: dict[str, str], auth_token: str) -> None:
    url = "https://example.com:8443/a/b?c=%20d+e"
    signature = signed(url, parameters, auth_token)

    assert RequestValidator(auth_token).validate(url, parameters, signature)


def test_fragment_is_neither_sent_nor_signed() -> None:
    assert signed("https://a.example/x?y#ct=1", {}) == signed(
        "https://a.example/x?y", {}
    )


def test_root_is_signed_as_the_receiver_sees_it() -> None:
    signature = signed("https://a.example", {})

    assert RequestValidator("tok").validate("https://a.example/", {}, signature)


def test_names_beyond_ascii_are_signed_as_they_are_sent() -> None:
    signature = signed("https://exämple.example/é?ü=1", {})

    url = "https://xn--exmple-cua.example/%C3%A9?%C3%BC=1"
    assert RequestValidator("tok").validate(url, {}, signature)


@pytest.mark.clients
def test_twilios_validator_for_node_agrees() -> None:
    if not shutil.which("node") or not (NODE_PACKAGES / "node_modules/twilio").exists():
        cannot_have("Node with npm's twilio")
    parameters = {"EventType": "stream_created", "AccountSid": "AC1", "Ünï": "é b&+\n"}
    urls = [
        "https://example.com/h?x=1",
        "http://127.0.0.1:8000/",
        "https://example.com:8443/a%20b?c=%C3%A9+d&e",
    ]
    seen = [[signed(url, parameters), url, parameters] for url in urls]
    forged = [signed(urls[0], parameters), urls[0], {**parameters, "AccountSid": "AC2"}]

    done = subprocess.run(
        ["node", "-e", VALIDATE],
        cwd=NODE_PACKAGES,
        input=json.dumps([*seen, forged]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout) == [True, True, True, False]
