"""Operators' actions on Streams and connections: confirmed, logged, by operations.

``test_live.py`` shows their effect on connections in all processes.
"""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from sync_streams import operations
from sync_streams.models import Stream
from tests.admin.conftest import StaffClient
from tests.settings import API_KEY_SECRET, AUTH_TOKEN

SERVICES = "/admin/sync_streams/service/"
STREAMS = "/admin/sync_streams/stream/"
PROCESSES = f"{SERVICES}processes/"


def set_ttl(client: Client, *streams: Stream, **fields: str) -> str:
    sids = [stream.sid for stream in streams]
    form = {"action": "set_ttl", "_selected_action": sids, **fields}
    return client.post(STREAMS, form, follow=True).content.decode()


def hidden_fields(page: str) -> dict[str, list[str]]:
    """Return the hidden fields of the question on a page."""
    form = page[page.rindex("<form", 0, page.rindex('name="action"')) :]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(
        r'<input type="hidden"\s+name="([^"]*)"\s+value="([^"]*)"', form
    ):
        fields.setdefault(name, []).append(value)
    return fields


def test_new_ttl_is_asked_for_first(admin: Client, stream: Stream) -> None:
    page = set_ttl(admin, stream)

    assert "The new TTL applies to 1 stream" in page
    assert Stream.objects.get().date_expires is None


def test_new_ttl_is_given_to_each_stream_and_logged(
    admin: Client, stream: Stream
) -> None:
    other = operations.create_stream(stream.service)

    page = set_ttl(admin, stream, other, confirmed="yes", ttl="60")

    assert "2 streams have a new TTL" in page
    in_two_minutes = timezone.now() + timedelta(minutes=2)
    assert Stream.objects.filter(date_expires__lt=in_two_minutes).count() == 2
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize(
    ("action", "answer", "left"),
    [("set_ttl", {"ttl": "60"}, 1), ("delete_selected", {}, 0)],
)
def test_question_about_all_has_the_same_few_fields_for_any_number(
    admin: Client,
    stream: Stream,
    settings: Settings,
    action: str,
    answer: dict[str, str],
    left: int,
) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 10
    for _ in range(10):
        operations.create_stream(stream.service, ttl=300)
    url = f"{STREAMS}?expires=hour"
    everything = {"select_across": "1", "index": "0", "_selected_action": stream.sid}

    page = admin.post(url, {"action": action, **everything}).content.decode()
    done = admin.post(url, {**hidden_fields(page), **answer})

    assert done.status_code == 302
    soon = timezone.now() + timedelta(seconds=61)
    assert Stream.objects.filter(date_expires__lt=soon).count() == 10 * left
    assert Stream.objects.filter(date_expires__gt=soon).count() == 0
    assert Stream.objects.filter(date_expires=None).get() == stream


@pytest.mark.parametrize("ttl", ["", "-1", "31536001", "soon"])
def test_ttl_beyond_the_limits_is_asked_for_again(
    admin: Client, stream: Stream, ttl: str
) -> None:
    page = set_ttl(admin, stream, confirmed="yes", ttl=ttl)

    assert "errorlist" in page
    assert Stream.objects.get().date_expires is None


def test_ttl_is_set_by_those_who_may_change_streams(
    staff: StaffClient, stream: Stream
) -> None:
    client = staff("view_stream")

    set_ttl(client, stream, confirmed="yes", ttl="60")

    assert Stream.objects.get().date_expires is None


def test_disconnecting_asks_for_the_identity(admin: Client, stream: Stream) -> None:
    url = f"{SERVICES}{stream.service_id}/disconnect/"

    page = admin.get(url).content.decode()
    empty = admin.post(url, {"identity": ""})

    assert 'name="identity"' in page
    assert empty.status_code == 200
    assert not LogEntry.objects.exists()


def test_disconnecting_is_logged(admin: Client, stream: Stream) -> None:
    url = f"{SERVICES}{stream.service_id}/disconnect/"

    answer = admin.post(url, {"identity": "alice"})

    assert answer.status_code == 302
    assert LogEntry.objects.get().change_message == "Disconnected “alice”."


def test_disconnecting_is_for_those_who_may_change_services(
    staff: StaffClient, stream: Stream
) -> None:
    client = staff("view_service", "monitor_stream")
    url = f"{SERVICES}{stream.service_id}/disconnect/"

    assert client.get(url).status_code == 403
    assert client.post(url, {"identity": "alice"}).status_code == 403


def test_draining_is_confirmed_and_logged(admin: Client, db: None) -> None:
    asked = admin.post(PROCESSES, {"process": "elsewhere:1"})
    done = admin.post(PROCESSES, {"process": "elsewhere:1", "confirmed": "yes"})

    assert "The process elsewhere:1 closes its connections" in (asked.content.decode())
    assert done.status_code == 302
    assert LogEntry.objects.get().object_repr == "elsewhere:1"


def test_draining_is_for_superusers(staff: StaffClient, db: None) -> None:
    client = staff("view_service", "change_service", "delete_service")

    assert client.get(PROCESSES).status_code == 200
    answer = client.post(PROCESSES, {"process": "elsewhere:1", "confirmed": "yes"})

    assert answer.status_code == 403


def test_processes_are_for_those_who_may_view_services(
    staff: StaffClient, db: None
) -> None:
    assert staff("view_stream").get(PROCESSES).status_code == 403


def test_service_shows_its_newest_streams(admin: Client, stream: Stream) -> None:
    for number in range(20):
        operations.create_stream(stream.service, unique_name=f"table-{number}")

    page = admin.get(f"{SERVICES}{stream.service_id}/change/").content.decode()

    assert "table-19" in page
    assert "board-1" not in page


@pytest.mark.parametrize("url", [SERVICES, STREAMS])
def test_lines_to_paste_name_the_resource_and_no_secret(
    admin: Client, stream: Stream, url: str
) -> None:
    sid = stream.sid if url == STREAMS else stream.service_id

    answer = admin.get(f"{url}{sid}/change/")

    for snippet in answer.context["snippets"]:
        assert stream.service_id in snippet.code
        assert AUTH_TOKEN not in snippet.code
        assert API_KEY_SECRET not in snippet.code
