from base64 import b64encode

import pytest
from pytest_django import Settings

from tests import settings as site
from tests.rest.api import Api, failure, read

UNAUTHORIZED = (401, 20003, "Authenticate")


@pytest.mark.parametrize(
    ("name", "password", "account_sid"),
    [
        (site.ACCOUNT_SID, site.AUTH_TOKEN, site.ACCOUNT_SID),
        (site.API_KEY_SID, site.API_KEY_SECRET, site.ACCOUNT_SID),
        (site.OTHER_ACCOUNT_SID, site.OTHER_AUTH_TOKEN, site.OTHER_ACCOUNT_SID),
        (site.OTHER_API_KEY_SID, site.OTHER_API_KEY_SECRET, site.OTHER_ACCOUNT_SID),
    ],
    ids=["auth token", "API key", "other auth token", "other API key"],
)
@pytest.mark.django_db
def test_account_and_key_are_accepted(
    name: str, password: str, account_sid: str
) -> None:
    response = Api(name, password).get("/v1/Services/default")

    assert read(response)["account_sid"] == account_sid


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (site.ACCOUNT_SID, "wrong"),
        (site.ACCOUNT_SID, ""),
        (site.ACCOUNT_SID, site.OTHER_AUTH_TOKEN),
        (site.ACCOUNT_SID, site.API_KEY_SECRET),
        (site.ACCOUNT_SID, "naïve"),
        (site.ACCOUNT_SID.lower(), site.AUTH_TOKEN),
        (site.API_KEY_SID, site.AUTH_TOKEN),
        (site.API_KEY_SID, site.OTHER_API_KEY_SECRET),
        ("AC" + "0" * 32, site.AUTH_TOKEN),
        ("AC" + "0" * 32, ""),
        ("", ""),
    ],
)
def test_wrong_credentials_are_refused(name: str, password: str) -> None:
    response = Api(name, password).get("/v1/Services")

    assert failure(response) == UNAUTHORIZED
    assert response["WWW-Authenticate"] == 'Basic realm="Twilio API"'


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic ?",
        "Basic " + b64encode(site.ACCOUNT_SID.encode()).decode(),
        "Basic " + b64encode(b"\xff\xfe:x").decode(),
        "Basic " + b64encode(b"a:b").decode() + " x",
        "Basic ünïcode",
        "Bearer " + b64encode(b"a:b").decode(),
        "Basic " + "A" * 8000,
    ],
)
def test_malformed_header_is_refused(header: str) -> None:
    response = Api("", "").send("GET", "/v1/Services", Authorization=header)

    assert failure(response) == UNAUTHORIZED


@pytest.mark.django_db
def test_scheme_is_read_in_any_case() -> None:
    encoded = b64encode(f"{site.ACCOUNT_SID}:{site.AUTH_TOKEN}".encode()).decode()

    response = Api("", "").send("GET", "/v1/Services", Authorization=f"bAsIc {encoded}")

    assert response.status_code == 200


WEAK = [None, "", "x" * 31, b"x" * 32, 10**40, ["x" * 32]]


@pytest.mark.parametrize("secret", WEAK, ids=repr)
@pytest.mark.parametrize("as_function", [False, True], ids=["dict", "function"])
def test_weak_secret_is_refused(
    settings: Settings, secret: object, as_function: bool
) -> None:
    account = {"AUTH_TOKEN": secret, "API_KEYS": {site.API_KEY_SID: secret}}
    accounts = {site.ACCOUNT_SID: account}
    settings.SYNC_STREAMS = {
        "ACCOUNTS": (lambda: accounts) if as_function else accounts
    }

    for name in (site.ACCOUNT_SID, site.API_KEY_SID):
        for password in ("", "None", str(secret)):
            response = Api(name, password).get("/v1/Services")
            assert failure(response) == UNAUTHORIZED


def test_account_without_auth_token_is_refused(settings: Settings) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": {site.ACCOUNT_SID: {}}}

    for password in ("", "None"):
        response = Api(site.ACCOUNT_SID, password).get("/v1/Services")
        assert failure(response) == UNAUTHORIZED


@pytest.mark.django_db
def test_secret_of_32_characters_is_accepted(settings: Settings) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": {site.ACCOUNT_SID: {"AUTH_TOKEN": "x" * 32}}}

    assert Api(site.ACCOUNT_SID, "x" * 32).get("/v1/Services").status_code == 200


@pytest.mark.django_db
def test_credentials_are_those_of_the_settings_in_force(
    settings: Settings,
) -> None:
    keys = {"SK" + "1" * 32: "1" * 32, "SK" + "2" * 32: "2" * 32}
    settings.SYNC_STREAMS = {"ACCOUNTS": {site.ACCOUNT_SID: {"API_KEYS": keys}}}

    answers = [Api(*key).get("/v1/Services").status_code for key in keys.items()]

    assert answers == [200, 200]


def test_refusal_comes_before_anything_else_is_said() -> None:
    stranger = Api("", "")

    assert failure(stranger.get("/v1/Services/nobody")) == UNAUTHORIZED
    assert failure(stranger.send("PUT", "/v1/Services")) == UNAUTHORIZED
    assert failure(stranger.send("POST", "/v1/Services", "%")) == UNAUTHORIZED
