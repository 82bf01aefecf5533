"""Services and Streams in the admin: find, create, change, remove."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from sync_streams import operations
from sync_streams.admin.service import ServiceForm
from sync_streams.errors import InvalidParameter, QuotaExceeded, SyncError
from sync_streams.models import Service, Stream
from sync_streams.signals import stream_removed
from tests.admin.conftest import StaffClient
from tests.settings import (
    ACCOUNT_SID,
    API_KEY_SECRET,
    AUTH_TOKEN,
    OTHER_ACCOUNT_SID,
)

SERVICES = "/admin/sync_streams/service/"
STREAMS = "/admin/sync_streams/stream/"

LIST_QUERIES = 6
"""Session, user, dates of the hierarchy (2), rows and their number."""


@pytest.fixture
def removed() -> Iterator[list[str]]:
    """SIDs of the Streams whose removal is announced while the test runs."""
    sids: list[str] = []

    def note(*, stream: Stream, **_: object) -> None:
        sids.append(stream.sid)

    stream_removed.connect(note, weak=False, dispatch_uid="tests.removed")
    yield sids
    stream_removed.disconnect(dispatch_uid="tests.removed")


def text(response: Any) -> str:
    return str(response.content.decode())


def test_service_is_created_in_an_account_of_the_settings(admin: Client) -> None:
    page = admin.get(f"{SERVICES}add/")
    answer = admin.post(
        f"{SERVICES}add/",
        {
            "account_sid": OTHER_ACCOUNT_SID,
            "friendly_name": "Games",
            "reachability_debouncing_window": "5000",
        },
    )

    service = Service.objects.get()
    assert ACCOUNT_SID in text(page)
    assert answer.status_code == 302
    assert (service.account_sid, service.friendly_name) == (OTHER_ACCOUNT_SID, "Games")
    assert LogEntry.objects.get().object_id == service.sid


def test_service_of_an_unknown_account_is_refused(admin: Client) -> None:
    admin.post(f"{SERVICES}add/", {"account_sid": "AC" + "9" * 32})

    assert not Service.objects.exists()


def test_service_keeps_fields_that_the_form_did_not_change(
    admin: Client, service: Service
) -> None:
    answer = admin.post(
        f"{SERVICES}{service.sid}/change/",
        {
            "friendly_name": "Chess",
            "webhook_url": "https://hooks.example/sync",
            "reachability_debouncing_window": "5000",
        },
    )

    service.refresh_from_db()
    assert answer.status_code == 302
    assert service.friendly_name == "Chess"
    assert service.webhook_url == "https://hooks.example/sync"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("webhook_url", "ftp://files", "Invalid webhook URL (54051)"),
        (
            "reachability_debouncing_window",
            "999",
            "Invalid ReachabilityDebouncingWindow (20001)",
        ),
    ],
)
def test_operations_error_stands_at_its_field(
    admin: Client, service: Service, field: str, value: str, message: str
) -> None:
    window = {"reachability_debouncing_window": "5000"}

    answer = admin.post(f"{SERVICES}{service.sid}/change/", {**window, field: value})

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors == {field: [message]}
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (InvalidParameter("Invalid Thing"), "__all__"),
        (InvalidParameter("Invalid Acl", field="acl_enabled"), "acl_enabled"),
        (InvalidParameter("Invalid Etag", field="etag"), "__all__"),
        (QuotaExceeded("Too many"), "__all__"),
    ],
    ids=str,
)
def test_error_stands_at_the_field_that_it_names(
    error: SyncError, place: str, db: None
) -> None:
    form = type("Form", (ServiceForm,), {"fault": error})({})

    assert [f"{error.text} ({error.code})"] == form.errors[place]


@pytest.mark.django_db(transaction=True)
def test_removed_service_announces_each_of_its_streams(
    admin: Client, stream: Stream, removed: list[str]
) -> None:
    answer = admin.post(f"{SERVICES}{stream.service_id}/delete/", {"post": "yes"})

    assert answer.status_code == 302
    assert not Service.objects.exists()
    assert removed == [stream.sid]


def test_removing_a_service_asks_first_and_counts_its_streams(
    admin: Client, stream: Stream
) -> None:
    answer = admin.get(f"{SERVICES}{stream.service_id}/delete/")

    assert dict(answer.context["model_count"]) == {"services": 1, "streams": 1}


def test_removing_a_service_needs_permission_to_remove_streams(
    staff: StaffClient, stream: Stream
) -> None:
    client = staff("view_service", "delete_service")

    answer = client.post(f"{SERVICES}{stream.service_id}/delete/", {"post": "yes"})

    assert answer.status_code == 403
    assert Service.objects.exists()


def test_stream_is_created_with_name_and_ttl(admin: Client, service: Service) -> None:
    answer = admin.post(
        f"{STREAMS}add/",
        {"service": service.sid, "unique_name": "board-2", "ttl": "60"},
    )

    stream = Stream.objects.get()
    assert answer.status_code == 302
    assert (stream.unique_name, stream.account_sid) == ("board-2", ACCOUNT_SID)
    assert stream.date_expires is not None
    assert LogEntry.objects.get().object_id == stream.sid


def test_stream_without_a_name_is_known_by_its_sid(
    admin: Client, service: Service
) -> None:
    admin.post(f"{STREAMS}add/", {"service": service.sid, "unique_name": ""})

    assert Stream.objects.get().unique_name is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("unique_name", "board-1", "Unique name already exists (54301)"),
        ("unique_name", "TO" + "a" * 32, "Invalid unique name"),
        ("unique_name", "..", "Invalid unique name"),
        ("unique_name", "a\u202eb", "Invalid unique name"),
        ("ttl", "31536001", "Invalid TTL (54011)"),
        ("ttl", "-1", "Invalid TTL (54011)"),
    ],
    ids=["taken", "like a SID", "dots", "bidi", "ttl too long", "ttl below zero"],
)
def test_stream_that_an_operation_refuses_is_shown_again(
    admin: Client, stream: Stream, field: str, value: str, message: str
) -> None:
    fields = {"service": stream.service_id, "unique_name": "board-3"}

    answer = admin.post(f"{STREAMS}add/", {**fields, field: value})

    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert errors[field][0].startswith(message)
    assert Stream.objects.count() == 1


def test_name_of_an_expired_stream_is_free(admin: Client, stream: Stream) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Stream.objects.update(date_expires=past)

    admin.post(
        f"{STREAMS}add/", {"service": stream.service_id, "unique_name": "board-1"}
    )

    assert Stream.objects.get().sid != stream.sid


def test_unique_name_is_fixed_after_creation(admin: Client, stream: Stream) -> None:
    page = admin.get(f"{STREAMS}{stream.sid}/change/")
    admin.post(f"{STREAMS}{stream.sid}/change/", {"unique_name": "other", "ttl": ""})

    stream.refresh_from_db()
    assert stream.unique_name == "board-1"
    assert list(page.context["adminform"].form.fields) == ["ttl"]


def test_ttl_is_set_and_cleared(admin: Client, stream: Stream) -> None:
    url = f"{STREAMS}{stream.sid}/change/"
    admin.post(url, {"ttl": "60"})
    given = Stream.objects.get().date_expires
    admin.post(url, {"ttl": ""})
    kept = Stream.objects.get().date_expires
    admin.post(url, {"ttl": "0"})

    assert given == kept is not None
    assert Stream.objects.get().date_expires is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["delete view", "action"])
def test_removal_of_a_stream_is_announced(
    admin: Client, stream: Stream, removed: list[str], way: str
) -> None:
    if way == "action":
        fields = {"action": "delete_selected", "_selected_action": stream.sid}
        answer = admin.post(STREAMS, {**fields, "post": "yes"})
    else:
        answer = admin.post(f"{STREAMS}{stream.sid}/delete/", {"post": "yes"})

    assert answer.status_code == 302
    assert not Stream.objects.exists()
    assert removed == [stream.sid]
    assert LogEntry.objects.get().object_id == stream.sid


def test_expired_stream_is_not_listed(admin: Client, stream: Stream) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Stream.objects.update(date_expires=past)

    assert stream.sid not in text(admin.get(STREAMS))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"board-1", "chat", "short"}),
        ("q=boa", {"board-1"}),
        ("q=oard", set()),
        ("expires=never", {"board-1", "chat"}),
        ("expires=hour", {"short"}),
        ("expires=later", set()),
        (f"account={ACCOUNT_SID}", {"board-1", "short"}),
        (f"account={OTHER_ACCOUNT_SID}", {"chat"}),
    ],
)
def test_streams_are_searched_and_filtered(
    admin: Client, stream: Stream, query: str, found: set[str]
) -> None:
    other = operations.create_service(OTHER_ACCOUNT_SID)
    operations.create_stream(other, unique_name="chat")
    operations.create_stream(stream.service, unique_name="short", ttl=300)

    answer = admin.get(f"{STREAMS}?{query}")

    names = {row.unique_name for row in answer.context["cl"].result_list}
    assert names == found


def test_streams_are_found_by_the_beginning_of_a_sid(
    admin: Client, stream: Stream
) -> None:
    answer = admin.get(f"{STREAMS}?q={stream.sid[:10]}")

    assert [row.sid for row in answer.context["cl"].result_list] == [stream.sid]


def test_streams_of_one_service_are_linked_to(admin: Client, stream: Stream) -> None:
    operations.create_stream(operations.create_service(ACCOUNT_SID))

    page = admin.get(SERVICES)
    answer = admin.get(f"{STREAMS}?service={stream.service_id}")

    assert f"{STREAMS}?service={stream.service_id}" in text(page)
    assert [row.sid for row in answer.context["cl"].result_list] == [stream.sid]


def test_expiry_is_shown_relative_to_now(admin: Client, service: Service) -> None:
    operations.create_stream(service, ttl=301)

    assert "in 5\xa0minutes" in text(admin.get(STREAMS))


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("url", [SERVICES, STREAMS])
def test_dates_are_in_the_zone_of_the_settings(
    admin: Client, stream: Stream, settings: Settings, url: str, use_tz: bool
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "America/Chicago"
    made = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)
    for model in (Service, Stream):
        model.objects.update(date_created=made, date_updated=made + timedelta(hours=5))
    sid = stream.sid if url == STREAMS else stream.service_id

    rows, form = text(admin.get(url)), text(admin.get(f"{url}{sid}/change/"))

    assert "Nov. 19, 2026, 9:30 p.m." in rows
    assert "Nov. 19, 2026, 9:30 p.m." in form
    assert "Nov. 20, 2026, 2:30 a.m." in form
    # Where SQLite keeps UTC without knowing, it would group the rows by days of UTC.
    assert ("date_created__day=19" in rows) is use_tz
    assert "date_created__day=20" not in rows


def test_filters_count_the_rows_that_they_would_show(
    admin: Client, stream: Stream
) -> None:
    page = text(admin.get(f"{STREAMS}?_facets=True"))

    assert "never (1)" in page
    assert f"{ACCOUNT_SID} (1)" in page


@pytest.mark.parametrize("url", [SERVICES, STREAMS])
def test_list_costs_the_same_queries_whatever_its_length(
    admin: Client,
    service: Service,
    url: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(30):
        operations.create_stream(operations.create_service(ACCOUNT_SID))

    with django_assert_num_queries(LIST_QUERIES):
        answer = admin.get(url)

    assert len(answer.context["cl"].result_list) >= 30


@pytest.mark.parametrize("url", [SERVICES, STREAMS])
def test_secrets_are_never_shown(admin: Client, stream: Stream, url: str) -> None:
    sid = stream.sid if url == STREAMS else stream.service_id
    pages = [url, f"{url}add/", f"{url}{sid}/change/", f"{url}{sid}/delete/"]

    shown = "".join(text(admin.get(page)) for page in pages)

    assert AUTH_TOKEN not in shown
    assert API_KEY_SECRET not in shown


@pytest.mark.parametrize("url", [SERVICES, STREAMS])
def test_staff_without_permission_gets_403(
    staff: StaffClient, stream: Stream, url: str
) -> None:
    client = staff()
    sid = stream.sid if url == STREAMS else stream.service_id

    for page in ("", "add/", f"{sid}/change/", f"{sid}/delete/"):
        assert client.get(f"{url}{page}").status_code == 403


def test_viewers_change_nothing(staff: StaffClient, stream: Stream) -> None:
    client = staff("view_stream", "view_service")
    url = f"{STREAMS}{stream.sid}"

    assert client.get(f"{url}/change/").status_code == 200
    assert client.post(f"{url}/change/", {"ttl": "60"}).status_code == 403
    assert client.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{STREAMS}add/").status_code == 403
