"""Rules for names, addresses and TTLs, at both edges of each."""

from datetime import UTC, datetime, timedelta

import pytest

from sync_streams.errors import (
    InvalidFriendlyName,
    InvalidParameter,
    InvalidTtl,
    InvalidUniqueName,
    InvalidWebhookUrl,
)
from sync_streams.operations.validators import (
    MAX_TTL_SECONDS,
    check_service_fields,
    check_unique_name,
    expiry,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "name",
    [
        None,
        "x",
        "x" * 320,
        "\U0001f600" * 320,
        " x ",
        "a/b?c#d%e",
        "/",
        "?",
        "...",
        "x/..x",
        ".x/y.",
        "%2e%2e%2e",
        ". .",
        "\u2764\ufe0f",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u0631\u0648\u0645",
        "e\u0301",
        "\u3000x",
        f"TO{HEX}0",
        f"to{HEX}",
        f"TO{HEX.upper()}",
        "default",
    ],
)
def test_a_name_of_1_to_320_characters_is_a_valid_unique_name(name: str | None) -> None:
    check_unique_name(name)


NO_UNIQUE_NAMES = {
    "empty, too long, a SID, or no text": [
        *("", "x" * 321, f"TO{HEX}", f"ZZ{HEX}", "a\0b", "\ud800", "a\udfffb"),
    ],
    "clients normalise it away": [
        *(".", "..", "../x", "x/..", "x/./y", "../../IS" + HEX, "..\\x"),
        *("%2e%2E", ".%2e", "%2e", "x%2F..", "..%5cx", "..?x", "..#x"),
        *(" ..", ".. ", "x/ .. /y", "..\u3000"),
    ],
    "invisible": [
        *(" ", " " * 320, "\u3000", "\u00a0\u2003", "\u200b", "\ufeff\u2060"),
        *("\u3164", "\u2800\u115f", "\ufe0f", "\u034f \u00ad"),
    ],
}


@pytest.mark.parametrize(
    ("why", "name"),
    [(why, name) for why, names in NO_UNIQUE_NAMES.items() for name in names],
    ids=ascii,
)
def test_any_other_name_is_not_a_valid_unique_name(why: str, name: str) -> None:
    with pytest.raises(InvalidUniqueName):
        check_unique_name(name)


_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]
_BIDI_CONTROLS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
CONTROLS = [chr(code) for code in (*_CONTROLS, *_BIDI_CONTROLS)]


@pytest.mark.parametrize("char", CONTROLS, ids=ascii)
def test_control_characters_are_not_allowed_in_unique_names(char: str) -> None:
    for name in (char, f"a{char}b", f"{char}x", f"x{char}"):
        with pytest.raises(InvalidUniqueName):
            check_unique_name(name)


@pytest.mark.parametrize("ttl", [None, 0])
def test_a_stream_without_ttl_never_expires(ttl: int | None) -> None:
    assert expiry(ttl, NOW) is None


@pytest.mark.parametrize("ttl", [1, MAX_TTL_SECONDS])
def test_a_stream_expires_its_ttl_from_now(ttl: int) -> None:
    assert expiry(ttl, NOW) == NOW + timedelta(seconds=ttl)


@pytest.mark.parametrize("ttl", [-1, MAX_TTL_SECONDS + 1, 10**30, -(10**30)])
def test_a_ttl_below_0_or_above_a_year_is_refused(ttl: int) -> None:
    with pytest.raises(InvalidTtl):
        expiry(ttl, NOW)


@pytest.mark.parametrize("name", [None, "x", "x" * 255])
def test_a_friendly_name_has_1_to_255_characters(name: str | None) -> None:
    check_service_fields({"friendly_name": name})


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0", "\ud800"], ids=ascii)
def test_any_other_friendly_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidFriendlyName):
        check_service_fields({"friendly_name": name})


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://a",
        "https://example.com:8443/hook?x=1",
        "http://[2606:4700::1111]/",
        "HTTPS://EXAMPLE.COM",
        "https://a/" + "x" * (2048 - 10),
    ],
)
def test_a_webhook_url_is_absolute_http_or_https(url: str | None) -> None:
    check_service_fields({"webhook_url": url})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "http://",
        "https:///path",
        "http://[::1",
        "http://a:port/",
        "http://a:99999/",
        "http://a b/",
        "http://a/\r\nHost: b",
        "https://a/\0",
        "https://a/\ud800",
        "https://a/" + "x" * (2049 - 10),
    ],
    ids=ascii,
)
def test_any_other_webhook_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidWebhookUrl):
        check_service_fields({"webhook_url": url})


@pytest.mark.parametrize("window", [1_000, 30_000])
def test_a_debouncing_window_has_1_to_30_seconds(window: int) -> None:
    check_service_fields({"reachability_debouncing_window": window})


@pytest.mark.parametrize("window", [-1, 0, 999, 30_001, 10**30])
def test_any_other_debouncing_window_is_refused(window: int) -> None:
    with pytest.raises(InvalidParameter):
        check_service_fields({"reachability_debouncing_window": window})
