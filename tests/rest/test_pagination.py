from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from sync_streams.models import Service, Stream
from sync_streams.rest.pagination import Cursor, InvalidPageToken
from tests import settings as site
from tests.rest.api import Api, failure, read

BAD_SIZE = (400, 54454, "Invalid 'PageSize' query parameter")
BAD_TOKEN = (400, 54453, "Invalid 'PageToken' query parameter")


def _fill(service: Service, count: int) -> list[str]:
    """Create Streams, three to a microsecond, and return their SIDs in order."""
    start = timezone.now() - timedelta(days=1)
    streams = [
        Stream(
            account_sid=site.ACCOUNT_SID,
            service=service,
            date_created=start + timedelta(microseconds=n // 3),
        )
        for n in range(count)
    ]
    Stream.objects.bulk_create(streams)
    streams.sort(key=lambda stream: (stream.date_created, stream.sid))
    return [stream.sid for stream in streams]


def _follow(api: Api, page: dict[str, Any], key: str) -> dict[str, Any]:
    parts = urlsplit(page["meta"][key])
    assert f"{parts.scheme}://{parts.netloc}" == "http://testserver"
    body: dict[str, Any] = read(api.get(f"{parts.path}?{parts.query}"))
    return body


def _sids(page: dict[str, Any]) -> list[str]:
    return [stream["sid"] for stream in page["streams"]]


def test_empty_page_has_all_of_meta(
    api: Api, service: Service, streams_path: str
) -> None:
    url = f"http://testserver{streams_path}?PageSize=50&Page=0"

    response = api.get(streams_path)

    assert response.status_code == 200
    assert read(response) == {
        "meta": {
            "page": 0,
            "page_size": 50,
            "first_page_url": url,
            "previous_page_url": None,
            "url": url,
            "next_page_url": None,
            "key": "streams",
        },
        "streams": [],
    }


def test_services_are_listed_under_their_own_key(api: Api, service: Service) -> None:
    body = read(api.get("/v1/Services"))

    assert body["meta"]["key"] == "services"
    assert body["meta"]["url"] == "http://testserver/v1/Services?PageSize=50&Page=0"
    assert [one["sid"] for one in body["services"]] == [service.sid]


def test_pages_lead_through_all_and_back(
    api: Api, service: Service, streams_path: str
) -> None:
    sids = _fill(service, 8)

    pages = [read(api.get(streams_path, PageSize=3))]
    while pages[-1]["meta"]["next_page_url"]:
        pages.append(_follow(api, pages[-1], "next_page_url"))
    back = _follow(api, pages[-1], "previous_page_url")
    first = _follow(api, back, "previous_page_url")

    assert [_sids(page) for page in pages] == [sids[:3], sids[3:6], sids[6:]]
    assert [page["meta"]["page"] for page in pages] == [0, 1, 2]
    assert (_sids(back), back["meta"]["page"]) == (sids[3:6], 1)
    assert _sids(_follow(api, back, "next_page_url")) == sids[6:]
    assert (_sids(first), first["meta"]["page"]) == (sids[:3], 0)
    assert first["meta"]["previous_page_url"] is None
    assert _sids(_follow(api, first, "next_page_url")) == sids[3:6]


def test_page_that_is_exactly_full_is_the_last(
    api: Api, service: Service, streams_path: str
) -> None:
    _fill(service, 6)

    first = read(api.get(streams_path, PageSize=3))
    second = _follow(api, first, "next_page_url")

    assert len(second["streams"]) == 3
    assert second["meta"]["next_page_url"] is None


def test_urls_of_a_page_lead_to_it_and_to_the_first(
    api: Api, service: Service, streams_path: str
) -> None:
    sids = _fill(service, 4)

    second = _follow(api, read(api.get(streams_path, PageSize=2)), "next_page_url")

    query = parse_qsl(urlsplit(second["meta"]["url"]).query)
    assert [name for name, _ in query] == ["PageSize", "Page", "PageToken"]
    assert _sids(_follow(api, second, "url")) == sids[2:]
    assert _sids(_follow(api, second, "first_page_url")) == sids[:2]


def test_removals_and_creations_shift_nothing(
    api: Api, service: Service, streams_path: str
) -> None:
    sids = _fill(service, 6)
    first = read(api.get(streams_path, PageSize=3))

    api.delete(f"{streams_path}/{sids[0]}")
    api.delete(f"{streams_path}/{sids[2]}")
    created = read(api.post(streams_path))
    second = _follow(api, first, "next_page_url")
    third = _follow(api, second, "next_page_url")

    assert _sids(second) == sids[3:]
    assert _sids(third) == [created["sid"]]


def test_page_after_everything_was_removed_is_empty(
    api: Api, service: Service, streams_path: str
) -> None:
    _fill(service, 2)
    first = read(api.get(streams_path, PageSize=1))
    Stream.objects.all().delete()

    second = _follow(api, first, "next_page_url")

    assert second["streams"] == []
    assert second["meta"]["next_page_url"] is None
    assert second["meta"]["previous_page_url"] is None


def test_page_size_defaults_to_50_and_is_cut_to_100(
    api: Api, service: Service, streams_path: str
) -> None:
    _fill(service, 101)

    pages = {
        size: read(api.get(streams_path, **({"PageSize": size} if size else {})))
        for size in ("", "1", "007", "100", "101", "5000", "9" * 5000)
    }

    lengths = {size: len(page["streams"]) for size, page in pages.items()}
    assert list(lengths.values()) == [50, 1, 7, 100, 100, 100, 100]
    assert pages["5000"]["meta"]["page_size"] == 100
    assert "PageSize=100" in pages["5000"]["meta"]["next_page_url"]


@pytest.mark.parametrize("size", ["0", "00", "-1", "x", "", "1.0", " 5", "\u0665"])
def test_bad_page_size_is_refused(api: Api, streams_path: str, size: str) -> None:
    assert failure(api.get(streams_path, PageSize=size)) == BAD_SIZE
    assert failure(api.get("/v1/Services", PageSize=size)) == BAD_SIZE


def _token(text: str) -> str:
    return "PT" + urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "PT",
        "x",
        "PTé",
        "PT====",
        "\0",
        "9" * 5000,
        _token("{}"),
        _token("=1." + "TO" + "0" * 32),
        _token(">" + "9" * 17 + "." + "TO" + "0" * 32),
        _token(">-1." + "TO" + "0" * 32),
        _token(">1." + "TO" + "0" * 31),
        _token(">1." + "TO" + "0" * 32)[2:],
        _token(">1." + "TO" + "0" * 32) + "=",
        _token(">1." + "TO" + "0" * 32) + "!",
    ],
)
def test_bad_page_token_is_refused(api: Api, streams_path: str, token: str) -> None:
    assert failure(api.get(streams_path, PageToken=token)) == BAD_TOKEN
    assert failure(api.get(streams_path, PageToken=token, Page=1)) == BAD_TOKEN


def test_extreme_token_is_an_empty_page(api: Api, streams_path: str) -> None:
    token = _token(">" + "9" * 16 + "." + "TO" + "0" * 32)

    response = api.get(streams_path, PageToken=token)

    assert read(response)["streams"] == []


def test_page_without_token_is_refused(api: Api, streams_path: str) -> None:
    response = api.get(streams_path, Page=1)

    assert failure(response) == (400, 20001, "PageToken is required for paging.")
    assert api.get(streams_path, Page=0).status_code == 200


@pytest.mark.parametrize("page", ["-1", "x", "", "1.0", "9" * 5000])
def test_bad_page_is_refused(api: Api, streams_path: str, page: str) -> None:
    assert failure(api.get(streams_path, Page=page)) == (400, 20001, "Invalid Page")


def test_unknown_query_parameters_are_ignored(api: Api, streams_path: str) -> None:
    response = api.get(streams_path, Order="desc", format="xml", HideExpired="x")

    assert response.status_code == 200
    assert "Order" not in read(response)["meta"]["url"]


def test_list_takes_three_queries_whatever_its_length(
    api: Api, service: Service, streams_path: str, django_assert_max_num_queries: Any
) -> None:
    _fill(service, 20)

    with django_assert_max_num_queries(2):
        assert len(read(api.get(streams_path))["streams"]) == 20


@given(
    side=strategies.sampled_from("<>"),
    created=strategies.integers(0, 10**16 - 1),
)
def test_a_page_token_decodes_to_its_position(side: Any, created: int) -> None:
    cursor = Cursor(side, created, "TO" + "0" * 32)

    assert Cursor.from_token(cursor.to_token()) == cursor
    assert cursor.to_filter()


@hypothesis_settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(token=strategies.text())
def test_any_text_is_a_token_or_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        Cursor.from_token(token)
