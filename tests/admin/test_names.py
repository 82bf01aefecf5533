"""Names and identities as pages show them: invisible characters are escaped."""

import unicodedata
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from sync_streams.models import Service, Stream
from tests.admin.conftest import StaffClient

UNSEEN = "a\u202egnp\u200b\x07" + "W" * 200
SHOWN = "a\\u202egnp\\u200b\\u0007" + "W" * 200
ADMIN = "/admin/sync_streams"

SERVICE_PAGES = ["change", "delete", "history", "monitor", "disconnect"]
STREAM_PAGES = ["change", "delete", "history", "monitor"]


@pytest.fixture
def named(stream: Stream) -> Stream:
    """A Stream and a Service from before such names were refused."""
    Stream.objects.update(unique_name=UNSEEN, created_by=UNSEEN)
    Service.objects.update(unique_name=None, friendly_name=UNSEEN)
    return Stream.objects.select_related("service").get()


def text_of(client: Client, path: str, fields: dict[str, str] | None = None) -> str:
    """Return the text of a page, or of the page after a form was sent."""
    answer = client.post(path, fields, follow=True) if fields else client.get(path)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def hidden_in(page: str) -> set[str]:
    """Return the invisible characters in a page's text."""
    return {
        char
        for char in page
        if char not in "\n\r\t" and unicodedata.category(char) in {"Cc", "Cf"}
    }


@pytest.mark.parametrize("page", ["", *STREAM_PAGES])
def test_no_page_of_a_stream_hides_a_part_of_its_name(
    admin: Client, named: Stream, page: str
) -> None:
    shown = text_of(
        admin, f"{ADMIN}/stream/{named.sid}/{page}/" if page else f"{ADMIN}/stream/"
    )

    assert hidden_in(shown) == set()
    assert SHOWN in shown


@pytest.mark.parametrize("page", ["", *SERVICE_PAGES])
def test_no_page_of_a_service_hides_a_part_of_its_name(
    staff: StaffClient, named: Stream, page: str
) -> None:
    verbs = [
        f"{verb}_{model}"
        for verb in ("view", "delete")
        for model in ("service", "stream")
    ]
    may = ["monitor_stream", *(["change_service"] if page == "disconnect" else [])]
    path = f"{named.service_id}/{page}/" if page else ""

    shown = text_of(staff(*verbs, *may), f"{ADMIN}/service/{path}")

    assert hidden_in(shown) == set()
    assert SHOWN in shown


def sid_of(named: Stream, model: str) -> str:
    return str(named.sid if model == "stream" else named.service_id)


@pytest.mark.parametrize("model", ["stream", "service"])
def test_question_before_removing_several_hides_no_part_of_a_name(
    admin: Client, named: Stream, model: str
) -> None:
    sid = sid_of(named, model)
    fields = {"action": "delete_selected", "_selected_action": sid}

    page = text_of(admin, f"{ADMIN}/{model}/", fields)

    assert hidden_in(page) == set()
    assert SHOWN in page


@pytest.mark.parametrize("model", ["stream", "service"])
def test_removal_is_reported_and_logged_with_the_whole_name(
    admin: Client, named: Stream, model: str
) -> None:
    sid = sid_of(named, model)

    told = text_of(admin, f"{ADMIN}/{model}/{sid}/delete/", {"post": "yes"})
    index = text_of(admin, "/admin/")

    assert hidden_in(told) | hidden_in(index) == set()
    assert SHOWN in told
    assert LogEntry.objects.get().object_repr == SHOWN[:200]
    assert SHOWN[:200] in index


def test_change_is_reported_with_the_whole_name(admin: Client, named: Stream) -> None:
    page = text_of(admin, f"{ADMIN}/stream/{named.sid}/change/", {"ttl": "60"})

    assert hidden_in(page) == set()
    assert f">{SHOWN}</a>” was changed" in page


def test_choice_of_a_service_hides_no_part_of_its_name(
    admin: Client, named: Stream
) -> None:
    query = {
        "app_label": "sync_streams",
        "model_name": "stream",
        "field_name": "service",
    }
    answer = admin.get("/admin/autocomplete/", query)

    assert [each["text"] for each in answer.json()["results"]] == [SHOWN]


def test_creator_of_a_stream_is_shown_whole(admin: Client, named: Stream) -> None:
    Stream.objects.update(unique_name="board-1")

    page = text_of(admin, f"{ADMIN}/stream/{named.sid}/change/")

    assert SHOWN in page
