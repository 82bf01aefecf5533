"""Signatures, against Twilio's own validator."""

from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sync_streams.webhooks.webhook import Webhook

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
