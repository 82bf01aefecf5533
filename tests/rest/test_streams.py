from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from sync_streams.models import Service, Stream
from tests import settings as site
from tests.rest.api import Api, failure, read

BAD_NAME = (
    400,
    54302,
    "Invalid unique name. Expected a string with length 1-320 "
    "not matching the SID pattern [A-Z]{2}[a-f0-9]{32}",
)
BAD_TTL = (400, 54011, "Invalid TTL")
A_YEAR = 31_536_000


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def _life_time(body: dict[str, Any]) -> timedelta:
    return _moment(body["date_expires"]) - _moment(body["date_updated"])


def test_stream_has_every_field_of_twilio(
    api: Api, service: Service, streams_path: str
) -> None:
    response = api.post(streams_path, UniqueName="my stream é", Ttl=60)

    body = read(response)
    url = f"http://testserver/v1/Services/{service.sid}/Streams/{body['sid']}"
    assert response.status_code == 201
    assert body["date_created"] == body["date_updated"]
    assert _life_time(body) == timedelta(seconds=60)
    assert body == {
        "sid": body["sid"],
        "unique_name": "my stream é",
        "account_sid": site.ACCOUNT_SID,
        "service_sid": service.sid,
        "url": url,
        "links": {"messages": f"{url}/Messages"},
        "date_expires": body["date_expires"],
        "date_created": body["date_created"],
        "date_updated": body["date_updated"],
        "created_by": "system",
    }


def test_stream_needs_no_parameters(api: Api, streams_path: str) -> None:
    response = api.post(streams_path)

    assert response.status_code == 201
    assert read(response)["unique_name"] is None
    assert read(response)["date_expires"] is None


def test_urls_contain_sids_whatever_was_requested(api: Api) -> None:
    created = read(api.post("/v1/Services/default/Streams", UniqueName="news"))

    fetched = read(api.get("/v1/Services/default/Streams/news"))

    assert created["service_sid"].startswith("IS")
    assert f"/Services/{created['service_sid']}/Streams/TO" in created["url"]
    assert fetched == created


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "é" * 320,
        "TO111",
        "TO" + "A" * 32,
        "to" + "a" * 32,
        "a.b c+d&e=f?g#h%i;j",
        "日本語🙂",
        " x ",
        "...",
    ],
)
def test_good_name_is_taken_and_found_again(
    api: Api, streams_path: str, name: str
) -> None:
    created = api.post(streams_path, UniqueName=name)

    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    fetched = api.get(f"{streams_path}/{quoted}")

    assert created.status_code == 201
    assert read(created)["unique_name"] == name
    assert read(fetched) == read(created)


def test_name_with_slash_is_found_by_sid_only(api: Api, streams_path: str) -> None:
    created = read(api.post(streams_path, UniqueName="a/b"))

    by_name = api.get(f"{streams_path}/a%2Fb")
    by_sid = api.get(f"{streams_path}/{created['sid']}")

    assert failure(by_name)[:2] == (404, 20404)
    assert read(by_sid)["unique_name"] == "a/b"


@pytest.mark.parametrize(
    "name",
    ["", "é" * 321, "TO" + "a" * 32, "ZZ" + "0" * 32, "a\0b", "..", " ", "a\nb"],
)
def test_bad_name_is_refused(api: Api, streams_path: str, name: str) -> None:
    assert failure(api.post(streams_path, UniqueName=name)) == BAD_NAME


@pytest.mark.parametrize("name", [5, True, [], {}, "", "\ud800"])
def test_bad_name_is_refused_in_json(api: Api, streams_path: str, name: object) -> None:
    response = api.post_json(streams_path, {"UniqueName": name})

    assert failure(response) == BAD_NAME


def test_null_is_no_name_in_json(api: Api, streams_path: str) -> None:
    response = api.post_json(streams_path, {"UniqueName": None, "Ttl": None})

    assert response.status_code == 201
    assert read(response)["unique_name"] is None


def test_taken_name_is_refused(api: Api, stream: Stream, streams_path: str) -> None:
    response = api.post(streams_path, UniqueName=stream.unique_name)

    assert failure(response) == (409, 54301, "Unique name already exists")


def test_case_of_a_name_counts(api: Api, stream: Stream, streams_path: str) -> None:
    other = api.post(streams_path, UniqueName="News")

    assert failure(api.get(f"{streams_path}/NEWS"))[:2] == (404, 20404)
    assert read(api.get(f"{streams_path}/News"))["sid"] == read(other)["sid"]
    assert read(api.get(f"{streams_path}/news"))["sid"] == stream.sid


def test_expired_stream_is_gone_and_its_name_is_free(
    api: Api, stream: Stream, streams_path: str
) -> None:
    Stream.objects.update(date_expires=timezone.now())

    missing = [
        api.get(f"{streams_path}/{stream.sid}"),
        api.get(f"{streams_path}/news"),
        api.post(f"{streams_path}/{stream.sid}", Ttl=0),
        api.publish(f"{streams_path}/{stream.sid}/Messages", {}),
        api.delete(f"{streams_path}/{stream.sid}"),
    ]
    listed = read(api.get(streams_path))["streams"]
    again = api.post(streams_path, UniqueName="news")

    assert {failure(answer)[:2] for answer in missing} == {(404, 20404)}
    assert listed == []
    assert again.status_code == 201


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("", None), ("0", None), ("1", 1), ("007", 7), (str(A_YEAR), A_YEAR)],
)
def test_ttl_is_taken(
    api: Api, streams_path: str, ttl: str, seconds: int | None
) -> None:
    response = api.post(streams_path, Ttl=ttl)

    body = read(response)
    assert response.status_code == 201
    if seconds is None:
        assert body["date_expires"] is None
    else:
        assert _life_time(body) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "ttl",
    [
        "-1",
        str(A_YEAR + 1),
        "1.5",
        "1e3",
        "x",
        " ",
        "+5",
        " 5",
        "\u0665",
        "9" * 18,
        "9" * 9999,
    ],
)
def test_bad_ttl_is_refused(
    api: Api, stream: Stream, streams_path: str, ttl: str
) -> None:
    created = api.post(streams_path, Ttl=ttl)
    updated = api.post(f"{streams_path}/{stream.sid}", Ttl=ttl)

    assert failure(created) == BAD_TTL
    assert failure(updated) == BAD_TTL


@pytest.mark.parametrize("ttl", [True, 1.5, 1.0, [], {}, A_YEAR + 1, -1, 10**30])
def test_bad_ttl_is_refused_in_json(api: Api, streams_path: str, ttl: object) -> None:
    assert failure(api.post_json(streams_path, {"Ttl": ttl})) == BAD_TTL


def test_update_replaces_the_expiry(
    api: Api, stream: Stream, streams_path: str
) -> None:
    path = f"{streams_path}/{stream.sid}"

    bodies = [read(api.post(path, Ttl=ttl)) for ttl in (60, 5, 0)]

    assert [_life_time(body) for body in bodies[:2]] == [
        timedelta(seconds=60),
        timedelta(seconds=5),
    ]
    assert bodies[2]["date_expires"] is None


@pytest.mark.parametrize("parameters", [{}, {"Ttl": ""}, {"UniqueName": "other"}])
def test_update_without_ttl_changes_nothing(
    api: Api, stream: Stream, streams_path: str, parameters: dict[str, str]
) -> None:
    path = f"{streams_path}/{stream.sid}"
    before = read(api.post(path, Ttl=60))

    response = api.post(path, **parameters)

    assert response.status_code == 200
    assert read(response) == before


def test_removal_has_an_empty_response_and_works_once(
    api: Api, stream: Stream, streams_path: str
) -> None:
    first = api.delete(f"{streams_path}/news")
    second = api.delete(f"{streams_path}/news")

    assert (first.status_code, first.content) == (204, b"")
    assert failure(second)[:2] == (404, 20404)


@pytest.mark.parametrize("ref", ["nobody", "TO111", "TO" + "0" * 32, "%00", "a%20b"])
def test_missing_stream_is_named_as_requested(
    api: Api, service: Service, streams_path: str, ref: str
) -> None:
    path = f"{streams_path}/{ref}"
    text = f"The requested resource {path.removeprefix('/v1')} was not found"

    answers = [api.get(path), api.post(path, Ttl=5), api.delete(path)]

    assert {failure(answer) for answer in answers} == {(404, 20404, text)}


def test_stream_of_another_service_is_not_found(api: Api, stream: Stream) -> None:
    response = api.get(f"/v1/Services/default/Streams/{stream.sid}")

    assert failure(response)[:2] == (404, 20404)


def test_stream_in_a_missing_service_is_not_found(api: Api, db: None) -> None:
    missing = "/v1/Services/IS" + "0" * 32 + "/Streams"

    answers = [api.get(missing), api.post(missing), api.post(f"{missing}/x", Ttl=1)]

    assert {failure(answer)[:2] for answer in answers} == {(404, 20404)}
