"""Live monitor and test publish: who may open them, and their scripts' settings."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from sync_streams import operations
from sync_streams.admin import watched
from sync_streams.models import Service, Stream
from sync_streams.tokens import read_token
from tests.admin.conftest import StaffClient
from tests.settings import ACCOUNT_SID, API_KEY_SECRET, AUTH_TOKEN

VIEW = ("view_stream", "view_service")


def url_of(resource: Service | Stream, page: str) -> str:
    return f"/admin/sync_streams/{resource._meta.model_name}/{resource.sid}/{page}/"


@pytest.fixture(params=["stream", "service"])
def resource(request: pytest.FixtureRequest, stream: Stream) -> Service | Stream:
    """What the pages are for: a Stream, or a Service with all its Streams."""
    return stream if request.param == "stream" else stream.service


def publish(client: Client, stream: Stream, data: str) -> Any:
    return client.post(url_of(stream, "publish"), {"data": data})


@pytest.mark.parametrize("permissions", [(), VIEW, ("monitor_stream",)])
def test_monitor_is_for_those_who_may_view_and_monitor(
    staff: StaffClient, resource: Service | Stream, permissions: tuple[str, ...]
) -> None:
    client = staff(*permissions)

    assert client.get(url_of(resource, "monitor")).status_code == 403
    assert client.get(url_of(resource, "figures")).status_code == 403
    assert client.post(url_of(resource, "token")).status_code == 403


def test_strangers_are_sent_to_the_login(resource: Service | Stream) -> None:
    answer = Client().get(url_of(resource, "monitor"))

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_monitor_shows_no_publish_form_without_permission(
    staff: StaffClient, resource: Service | Stream
) -> None:
    client = staff(*VIEW, "monitor_stream")

    answer = client.get(url_of(resource, "monitor"))

    assert answer.status_code == 200
    assert "publish.js" not in answer.content.decode()


def test_monitor_shows_no_secret(admin: Client, resource: Service | Stream) -> None:
    page = admin.get(url_of(resource, "monitor")).content.decode()

    assert API_KEY_SECRET not in page
    assert AUTH_TOKEN not in page


def test_token_of_a_watcher_lasts_minutes_and_is_read_only(
    staff: StaffClient, resource: Service | Stream, stream: Stream
) -> None:
    client = staff(*VIEW, "monitor_stream")

    answer = client.post(url_of(resource, "token"))

    identity = read_token(answer.json()["token"])
    assert identity.is_read_only
    assert identity.is_observer
    assert identity.name == "admin:staff"
    assert (identity.account_sid, identity.service_ref) == (
        ACCOUNT_SID,
        stream.service_id,
    )


def test_token_expires_within_minutes(admin: Client, stream: Stream) -> None:
    answer = admin.post(url_of(stream, "token"))

    left = (
        read_token(answer.json()["token"]).expires_at - stream.date_created.timestamp()
    )
    assert left <= 600


@pytest.mark.parametrize(
    ("permissions", "is_read_only"),
    [
        (["publish_message"], True),
        (["add_stream", "change_stream", "delete_stream"], True),
        (["publish_message", "add_stream", "change_stream", "delete_stream"], False),
    ],
    ids=["publishing", "changing", "both"],
)
def test_token_is_read_only_unless_its_owner_may_do_all_that_it_allows(
    staff: StaffClient,
    resource: Service | Stream,
    permissions: list[str],
    is_read_only: bool,
) -> None:
    client = staff(*VIEW, "monitor_stream", *permissions)

    answer = client.post(url_of(resource, "token"))

    assert read_token(answer.json()["token"]).is_read_only is is_read_only


def test_token_is_given_to_posts_with_a_csrf_token_only(stream: Stream) -> None:
    client = Client(enforce_csrf_checks=True)

    assert client.get(url_of(stream, "token")).status_code in {302, 405}
    assert client.post(url_of(stream, "token")).status_code in {302, 403}


def test_token_needs_an_account_that_the_settings_know(
    admin: Client, stream: Stream, settings: Settings
) -> None:
    settings.SYNC_STREAMS = {"ACCOUNTS": {}}

    answer = admin.post(url_of(stream, "token"))

    assert answer.status_code == 503
    assert answer.json()["code"] == 20503


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["board-1", "chess", None]),
        ({"named": "ch"}, ["chess"]),
        ({"named": "<script>"}, []),
        ({"named": "\0"}, ["board-1", "chess", None]),
        ({"named": "x" * 5000}, []),
        ({"order": "busiest"}, []),
        ({"order": "'; --"}, ["board-1", "chess", None]),
    ],
    ids=str,
)
def test_service_monitor_shows_the_streams_that_one_chooses(
    admin: Client, stream: Stream, query: dict[str, str], found: list[str | None]
) -> None:
    operations.create_stream(stream.service, unique_name="chess")
    nameless = operations.create_stream(stream.service)

    page = admin.get(url_of(stream.service, "monitor"), query)
    answer = admin.get(url_of(stream.service, "figures"), query).json()

    names = {name or nameless.sid for name in found}
    assert {row["name"] for row in answer["streams"]} == names
    assert {row["name"] for row in page.context["streams"]} == names
    assert "<script>'; --" not in page.content.decode()


def test_monitor_watches_the_newest_streams_and_says_how_many_there_are(
    admin: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "MAX_STREAMS", 2)
    for number in range(3):
        operations.create_stream(service, unique_name=f"s{number}")

    page = admin.get(url_of(service, "monitor"))

    assert [row["name"] for row in page.context["streams"]] == ["s2", "s1"]
    assert "Watching 2 of 3 streams" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_figures_name_the_live_streams(
    admin: Client, resource: Service | Stream, stream: Stream
) -> None:
    answer = admin.get(url_of(resource, "figures")).json()

    row = {"sid": stream.sid, "name": "board-1", "subscribers": 0, "refused": 0}
    assert answer["streams"] == [row]


def test_list_links_to_the_monitor(staff: StaffClient, stream: Stream) -> None:
    client = staff(*VIEW, "monitor_stream")

    page = client.get("/admin/sync_streams/stream/").content.decode()

    assert url_of(stream, "monitor") in page


def test_list_links_to_no_monitor_that_is_closed(
    staff: StaffClient, stream: Stream
) -> None:
    page = staff(*VIEW).get("/admin/sync_streams/stream/").content.decode()

    assert url_of(stream, "monitor") not in page


def test_occupancy_is_for_those_who_may_view(staff: StaffClient, db: None) -> None:
    answer = staff().get("/admin/sync_streams/stream/occupancy/")

    assert answer.status_code == 403


def test_occupancy_covers_every_requested_stream(admin: Client, stream: Stream) -> None:
    answer = admin.get(f"/admin/sync_streams/stream/occupancy/?sid={stream.sid}")

    assert answer.json() == {stream.sid: 0}


@pytest.mark.parametrize("choice", ["yes", "no"])
def test_streams_are_filtered_by_having_subscribers(
    admin: Client, stream: Stream, choice: str
) -> None:
    answer = admin.get(f"/admin/sync_streams/stream/?occupied={choice}")

    found = [row.sid for row in answer.context["cl"].result_list]
    assert found == ([] if choice == "yes" else [stream.sid])


def test_test_message_returns_its_sid_and_is_logged_without_data(
    admin: Client, stream: Stream
) -> None:
    answer = publish(admin, stream, '{"move": "knight"}')

    entry = LogEntry.objects.get()
    assert answer.status_code == 200
    assert answer.json()["sid"].startswith("TZ")
    assert answer.json()["sid"] in entry.change_message
    assert "knight" not in entry.change_message


def test_test_message_from_a_service_names_its_stream(
    admin: Client, stream: Stream
) -> None:
    url = url_of(stream.service, "publish")

    answer = admin.post(url, {"stream": stream.sid, "data": "{}"})

    assert answer.json()["stream_sid"] == stream.sid


def test_stream_of_another_service_is_not_published_to(
    admin: Client, stream: Stream
) -> None:
    other = operations.create_service(ACCOUNT_SID)

    answer = admin.post(url_of(other, "publish"), {"stream": stream.sid, "data": "{}"})

    assert (answer.status_code, answer.json()["code"]) == (404, 54250)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (json.dumps({"a": "x" * 4088}), 200, None),
        (json.dumps({"a": "x" * 4089}), 413, 54006),
        ("[]", 400, 54008),
        ("", 400, 54008),
        ('{"a": NaN}', 400, 54008),
        ("null", 400, 54251),
    ],
    ids=["4,096 bytes", "4,097 bytes", "a list", "nothing", "NaN", "null"],
)
def test_data_of_a_test_message_is_checked_as_everywhere(
    admin: Client, stream: Stream, data: str, status: int, code: int | None
) -> None:
    answer = publish(admin, stream, data)

    assert answer.status_code == status
    assert answer.json().get("code") == code


def test_refusal_says_how_long_to_wait(
    admin: Client, stream: Stream, settings: Settings
) -> None:
    settings.SYNC_STREAMS = {**settings.SYNC_STREAMS, "PUBLISH_RATE": 1}
    publish(admin, stream, "{}")

    answer = publish(admin, stream, "{}")

    assert (answer.status_code, answer.json()["code"]) == (429, 54009)
    assert 0 < answer.json()["retry_after"] <= 1


def test_test_publish_is_for_those_who_may_publish(
    staff: StaffClient, stream: Stream
) -> None:
    client = staff(*VIEW, "monitor_stream", "change_stream")

    assert publish(client, stream, "{}").status_code == 403
    page = client.get(f"/admin/sync_streams/stream/{stream.sid}/change/")
    assert "publish.js" not in page.content.decode()


def test_missing_stream_has_no_pages(admin: Client, db: None) -> None:
    answer = admin.get(f"/admin/sync_streams/stream/TO{'0' * 32}/monitor/")

    assert answer.status_code == 404
