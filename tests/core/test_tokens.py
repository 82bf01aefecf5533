"""Access tokens: Twilio's own are accepted, bad ones give 20101 to 20107."""

import base64
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import jwt
import pytest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant, VideoGrant

from sync_streams.errors import (
    InvalidToken,
    InvalidTokenGrants,
    InvalidTokenHeader,
    InvalidTokenIssuer,
    InvalidTokenSignature,
    SyncError,
    TokenExpired,
    TokenNotYetValid,
)
from sync_streams.tokens import (
    MAX_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
    has_key,
    issue_token,
    read_token,
)
from tests.settings import (
    ACCOUNT_SID,
    API_KEY_SECRET,
    API_KEY_SID,
    OTHER_ACCOUNT_SID,
    OTHER_API_KEY_SECRET,
    OTHER_API_KEY_SID,
)

SERVICE_SID = "IS" + "0" * 32
HEADER = {"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"}
GONE = ...
"""Stands for a claim that is left out."""


def claims(**changes: object) -> dict[str, Any]:
    """Return a good token's claims, changed; ``GONE`` leaves one out."""
    now = int(time.time())
    good = {
        "jti": f"{API_KEY_SID}-{now}",
        "iss": API_KEY_SID,
        "sub": ACCOUNT_SID,
        "exp": now + 3_600,
        "grants": {"identity": "alice", "data_sync": {"service_sid": SERVICE_SID}},
    }
    return {k: v for k, v in {**good, **changes}.items() if v is not GONE}


def part(content: object) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=")


def sign(
    payload: object,
    header: Mapping[str, object] | str = HEADER,
    secret: str = API_KEY_SECRET,
    digest: str = "SHA256",
) -> str:
    """Build a token with any content."""
    signed = part(header) + b"." + part(payload)
    algorithm = jwt.algorithms.get_default_algorithms()[f"HS{digest[3:]}"]
    signature = algorithm.sign(signed, secret.encode())
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def grants(**changes: object) -> dict[str, Any]:
    good = {"identity": "alice", "data_sync": {"service_sid": SERVICE_SID}}
    changed = {k: v for k, v in {**good, **changes}.items() if v is not GONE}
    return claims(grants=changed)


def official(ttl: int = 3_600, **options: Any) -> str:
    """Make a token with Twilio's own library."""
    token = AccessToken(
        ACCOUNT_SID, API_KEY_SID, API_KEY_SECRET, identity="alice", ttl=ttl, **options
    )
    token.add_grant(SyncGrant(service_sid=SERVICE_SID))
    return str(token.to_jwt())


def test_a_token_of_twilios_library_is_read() -> None:
    identity = read_token(official())

    assert identity.name == "alice"
    assert identity.account_sid == ACCOUNT_SID
    assert identity.key_sid == API_KEY_SID
    assert identity.service_ref == SERVICE_SID
    assert identity.expires_at == pytest.approx(time.time() + 3_600, abs=5)
    assert not identity.is_read_only


def test_a_token_with_more_than_the_sync_grant_is_read() -> None:
    token = AccessToken(ACCOUNT_SID, API_KEY_SID, API_KEY_SECRET, identity="alice")
    token.add_grant(VideoGrant(room="a"))
    token.add_grant(SyncGrant(service_sid="default", endpoint_id="b"))

    assert read_token(token.to_jwt()).service_ref == "default"


def test_a_token_without_the_sync_grant_is_refused() -> None:
    token = AccessToken(ACCOUNT_SID, API_KEY_SID, API_KEY_SECRET, identity="alice")
    token.add_grant(VideoGrant(room="a"))

    with pytest.raises(InvalidTokenGrants):
        read_token(token.to_jwt())


def test_an_issued_token_is_read() -> None:
    identity = read_token(issue_token("bob", "default", ttl=60))

    assert (identity.name, identity.service_ref) == ("bob", "default")
    assert identity.account_sid == ACCOUNT_SID


def test_a_token_may_be_issued_for_another_account() -> None:
    identity = read_token(issue_token("bob", "x", account_sid=OTHER_ACCOUNT_SID))

    assert identity.account_sid == OTHER_ACCOUNT_SID
    assert identity.key_sid == OTHER_API_KEY_SID


def test_a_read_only_token_says_so() -> None:
    assert read_token(issue_token("bob", "x", is_read_only=True)).is_read_only


@pytest.mark.parametrize("value", [True, "false", 0, None, {}])
def test_any_value_of_read_only_restricts_permissions(value: object) -> None:
    sync = {"service_sid": SERVICE_SID, "read_only": value}

    assert read_token(sign(grants(data_sync=sync))).is_read_only


def test_observers_token_says_so() -> None:
    assert read_token(issue_token("bob", "x", is_observer=True)).is_observer
    assert not read_token(issue_token("bob", "x")).is_observer


@pytest.mark.parametrize("value", [False, "true", 1, None, {}])
def test_only_true_makes_an_observer(value: object) -> None:
    sync = {"service_sid": SERVICE_SID, "observer": value}

    assert not read_token(sign(grants(data_sync=sync))).is_observer


@pytest.mark.parametrize("identity", ["a", "x" * 256, "\u20ac\U0001f600", " ", "\n"])
def test_an_identity_of_1_to_256_characters_is_read(identity: str) -> None:
    assert read_token(sign(grants(identity=identity))).name == identity


@pytest.mark.parametrize(
    "identity",
    [GONE, None, "", "x" * 257, 7, True, ["a"], {"a": 1}, "\ud800", "a\0b"],
    ids=ascii,
)
def test_any_other_identity_is_refused(identity: object) -> None:
    with pytest.raises(InvalidTokenGrants):
        read_token(sign(grants(identity=identity)))


@pytest.mark.parametrize(
    "sync",
    [GONE, None, "x", [], {}, {"service_sid": None}, {"service_sid": 7}],
    ids=str,
)
def test_a_grant_without_a_service_is_refused(sync: object) -> None:
    with pytest.raises(InvalidTokenGrants):
        read_token(sign(grants(data_sync=sync)))


@pytest.mark.parametrize("value", [GONE, None, "x", [], 7], ids=str)
def test_a_token_without_grants_is_refused(value: object) -> None:
    with pytest.raises(InvalidTokenGrants):
        read_token(sign(claims(grants=value)))


@pytest.mark.parametrize(
    "token",
    [None, 7, b"x", [], {}, "", ".", "..", "a.b.c", "\ud800", "\u20ac"],
    ids=ascii,
)
def test_an_invalid_token_is_refused(token: object) -> None:
    with pytest.raises(InvalidToken) as refused:
        read_token(token)

    assert refused.value.code == 20101


def token_of(size: int) -> str:
    """Return a good token of that many bytes; base64 alone cannot hit every size."""
    lengths = [(k, n) for k in range(3) for n in range(5_700, 5_800)]
    tokens = (
        sign(claims(padding="x" * n), {**HEADER, "kid": "x" * k}) for k, n in lengths
    )
    return next(token for token in tokens if len(token) == size)


def test_a_token_of_8192_bytes_is_read() -> None:
    assert read_token(token_of(MAX_TOKEN_BYTES)).name == "alice"


def test_a_token_of_8193_bytes_is_refused() -> None:
    with pytest.raises(InvalidToken):
        read_token(token_of(MAX_TOKEN_BYTES + 1))


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "HS512"},
        {**HEADER, "alg": "HS384"},
        {**HEADER, "alg": "RS256"},
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "None"},
        {**HEADER, "alg": "hs256"},
        {**HEADER, "alg": None},
        {**HEADER, "alg": ["HS256"]},
        {"typ": "JWT", "cty": "twilio-fpa;v=1"},
        {**HEADER, "typ": "at+jwt"},
        {**HEADER, "typ": ["JWT"]},
        {"alg": "HS256", "cty": "twilio-fpa;v=1"},
        {**HEADER, "cty": "twilio-fpa;v=2"},
        {**HEADER, "cty": {"v": 1}},
        {"alg": "HS256", "typ": "JWT"},
    ],
    ids=str,
)
def test_another_header_is_refused(header: dict[str, object]) -> None:
    with pytest.raises(InvalidTokenHeader) as refused:
        read_token(sign(claims(), header))

    assert refused.value.code == 20102


def test_a_token_that_is_not_signed_is_refused() -> None:
    token = jwt.encode(claims(), "", algorithm="none")

    with pytest.raises(InvalidTokenHeader):
        read_token(token)


def test_a_token_signed_by_hs512_that_says_hs256_is_refused() -> None:
    with pytest.raises(InvalidTokenSignature):
        read_token(sign(claims(), digest="SHA512"))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": GONE},
        {"iss": None},
        {"iss": 7},
        {"iss": [API_KEY_SID]},
        {"iss": "SK" + "f" * 32},
        {"iss": OTHER_API_KEY_SID},
        {"sub": GONE},
        {"sub": None},
        {"sub": 7},
        {"sub": "AC" + "f" * 32},
        {"sub": OTHER_ACCOUNT_SID},
        {"sub": {"a": 1}},
    ],
    ids=str,
)
def test_another_issuer_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidTokenIssuer) as refused:
        read_token(sign(claims(**changes)))

    assert refused.value.code == 20103


@pytest.mark.parametrize("secret", [OTHER_API_KEY_SECRET, API_KEY_SECRET + "x", "x"])
def test_a_token_signed_with_another_secret_is_refused(secret: str) -> None:
    with pytest.raises(InvalidTokenSignature) as refused:
        read_token(sign(claims(), secret=secret))

    assert refused.value.code == 20107


def test_a_token_with_changed_claims_is_refused() -> None:
    header, _, signature = official().split(".")
    changed = part(grants(identity="eve")).decode()

    with pytest.raises(InvalidTokenSignature):
        read_token(f"{header}.{changed}.{signature}")


def test_a_token_without_signature_is_refused() -> None:
    with pytest.raises(InvalidTokenSignature):
        read_token(official().rpartition(".")[0] + ".")


@pytest.mark.parametrize("ago", [0, 1, 3_600])
def test_an_expired_token_is_refused(ago: int) -> None:
    with pytest.raises(TokenExpired) as refused:
        read_token(sign(claims(exp=int(time.time()) - ago)))

    assert refused.value.code == 20104


def test_a_token_of_24_hours_is_read() -> None:
    assert read_token(official(ttl=MAX_LIFETIME_SECONDS)).name == "alice"


@pytest.mark.parametrize("beyond", [120, 10**9, 10**25])
def test_a_token_of_more_than_24_hours_is_refused(beyond: int) -> None:
    ends = int(time.time()) + MAX_LIFETIME_SECONDS + beyond

    with pytest.raises(TokenExpired):
        read_token(sign(claims(exp=ends)))


def test_a_token_that_is_not_valid_yet_is_refused() -> None:
    with pytest.raises(TokenNotYetValid) as refused:
        read_token(official(nbf=int(time.time()) + 60))

    assert refused.value.code == 20105


def test_a_token_that_just_became_valid_is_read() -> None:
    assert read_token(official(nbf=int(time.time()))).name == "alice"


ODD = [None, "x", "", [], [1], {}, {"a": 1}, True, -1, 1e300, 1e308 * 10, 10**400]


@pytest.mark.parametrize("value", [GONE, *ODD, float("nan")], ids=str)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "jti", "aud"])
def test_an_odd_claim_raises_nothing_but_a_token_error(
    claim: str, value: object
) -> None:
    with suppress(InvalidToken):
        read_token(sign(claims(**{claim: value})))


@pytest.mark.parametrize("value", [GONE, None, "x", [1], {}], ids=str)
def test_a_token_without_end_is_refused(value: object) -> None:
    with pytest.raises(InvalidToken):
        read_token(sign(claims(exp=value)))


def nested(depth: int) -> str:
    return json.dumps(HEADER)[:-1] + ',"a":' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize("depth", [*range(850, 1_000), 2_900])
def test_a_deep_header_raises_nothing_but_a_token_error(depth: int) -> None:
    with suppress(InvalidToken):
        read_token(sign(claims(), nested(depth)))


def deep_claims(depth: int) -> str:
    return json.dumps(claims())[:-1] + ',"a":' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize("depth", [*range(850, 1_000), 2_500])
def test_deep_claims_raise_nothing_but_a_token_error(depth: int) -> None:
    with suppress(InvalidToken):
        read_token(sign(deep_claims(depth)))


@pytest.mark.parametrize(
    "header",
    [
        "[]",
        '"x"',
        "7",
        "null",
        "\ud800",
        json.dumps({**HEADER, "kid": 7}),
        json.dumps({**HEADER, "crit": ["a"]}),
        json.dumps({**HEADER, "b64": False}),
        json.dumps({**HEADER, "typ": "\ud800"}),
    ],
    ids=ascii,
)
def test_an_odd_header_raises_nothing_but_a_token_error(header: str) -> None:
    with suppress(InvalidToken):
        read_token(sign(claims(), header))


@pytest.mark.parametrize(
    "payload", ["[]", '"x"', "7", "null", "{", "\ud800"], ids=ascii
)
def test_claims_that_are_no_object_are_refused(payload: str) -> None:
    with pytest.raises(InvalidToken):
        read_token(sign(payload))


@given(st.text(st.characters(max_codepoint=127)))
@example("a" * 8_192)
@example("." * 8_192)
def test_any_text_raises_nothing_but_a_sync_error(token: str) -> None:
    with suppress(SyncError):
        read_token(token)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "exp", "nbf", "iat", "jti", "aud", "grants"]),
        json_values,
    )
)
def test_any_claims_raise_nothing_but_a_sync_error(changes: dict[str, Any]) -> None:
    with suppress(SyncError):
        read_token(sign(claims(**changes)))


def test_the_key_of_an_identity_may_be_removed() -> None:
    identity = read_token(official())

    assert has_key(identity)
    with override_settings(SYNC_STREAMS={}):
        assert not has_key(identity)
        with pytest.raises(InvalidTokenIssuer):
            read_token(official())
