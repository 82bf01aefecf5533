"""Connections in the admin: found in all processes, bounded, and disconnected."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import requests
from django.contrib.admin.models import LogEntry
from django.test import Client

from sync_streams import operations
from sync_streams.admin.connection import SearchForm
from sync_streams.delivery.cluster import listing, survey
from sync_streams.models import Stream
from sync_streams.twilsock.frames import Frame
from sync_streams.twilsock.sessions import client_of
from sync_streams.values.text import visible
from tests.admin.conftest import StaffClient
from tests.admin.operator import Operator, until
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite
from tests.settings import ACCOUNT_SID, OTHER_ACCOUNT_SID

PAGE = "/admin/sync_streams/service/connections/"
PATH = "sync_streams/service/connections/"
HOSTILE = '</td><script>alert(1)</script>"\u202e\u200b'


def row(number: int, **fields: Any) -> Any:
    return {"id": f"x.{number}", "since": float(number), **fields}


def identities_in(operator: Operator, query: str = "") -> list[str]:
    page = operator.get(f"{PATH}?{query}").text
    return re.findall(r'type="hidden"\s+name="identity"\s+value="([^"]*)"', page)


@pytest.fixture
async def operator(embedded: DemoSite) -> Operator:
    return await asyncio.to_thread(Operator, embedded)


@pytest.fixture
async def crowd(embedded: DemoSite) -> AsyncIterator[dict[str, SiteSocket]]:
    """Two ordinary connections and a hostile one; one of them is subscribed."""
    names = ("crowd-alice", "crowd-bob", HOSTILE)
    sockets = {name: SiteSocket(embedded, name) for name in names}
    async with sockets["crowd-alice"], sockets["crowd-bob"], sockets[HOSTILE]:
        await sockets["crowd-bob"].ask("subscribe", stream="demo")
        yield sockets


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("identity=CROWD-", {"crowd-alice", "crowd-bob"}),
        ("identity=crowd-a", {"crowd-alice"}),
        ("identity=crowd-&stream=demo", {"crowd-bob"}),
        ("identity=crowd-&service=default", {"crowd-alice", "crowd-bob"}),
        ("identity=crowd-&address=127.", {"crowd-alice", "crowd-bob"}),
        ("identity=crowd-&address=10.", set()),
        ("identity=crowd-&process=elsewhere:1", set()),
        ("identity=crowd-&service=IS" + "0" * 32, set()),
        ("identity=" + "x" * 257, set()),
        ("stream=nowhere", set()),
        ("service=%00", set()),
    ],
)
async def test_connections_are_found(
    operator: Operator, crowd: dict[str, SiteSocket], query: str, found: set[str]
) -> None:
    look = partial(identities_in, operator, query)

    listed = await asyncio.to_thread(until, look, lambda names: set(names) == found)

    assert set(listed) == found


async def test_hostile_identity_is_text_and_nothing_in_it_is_hidden(
    operator: Operator, crowd: dict[str, SiteSocket]
) -> None:
    look = partial(operator.get, f"{PATH}?identity=script")

    page = await asyncio.to_thread(until, look, lambda answer: "u202e" in answer.text)

    assert "<script>alert(1)" not in page.text
    assert "&lt;/td&gt;&lt;script&gt;" in page.text
    assert "\\u202e\\u200b" in page.text


async def test_row_shows_protocol_client_and_subscriptions(
    operator: Operator, crowd: dict[str, SiteSocket]
) -> None:
    look = partial(operator.get, f"{PATH}?identity=crowd-bob")

    page = await asyncio.to_thread(
        until, look, lambda answer: "crowd-bob" in answer.text
    )

    assert "JSON" in page.text
    assert "websockets/" in page.text.lower()
    assert "127.0.0.1" in page.text
    assert re.search(r'data-label="Subscriptions">\s*1\s*<', page.text)


def has_two_rows(page: requests.Response) -> bool:
    return page.text.count('data-label="Subscriptions"') == 2


def said(page: requests.Response) -> list[str]:
    """Return the messages at the top of a page of the admin."""
    [found] = re.findall(r'(?s)"messagelist">(.*?)</ul>', page.text) or [""]
    return re.findall(r"<li[^>]*>(.*?)</li>", found)


async def test_one_connection_is_ended_and_its_twin_stays(
    operator: Operator, embedded: DemoSite
) -> None:
    async with (
        SiteSocket(embedded, "twin") as first,
        SiteSocket(embedded, "twin") as second,
    ):
        query = f"{PATH}?identity=twin"
        look = partial(operator.get, query)
        page = await asyncio.to_thread(until, look, has_two_rows)
        service, connection = (
            re.findall(rf'name="{name}"\s+value="(\w\S+)"', page.text)[0]
            for name in ("service", "connection")
        )
        fields = {"service": service, "identity": "twin", "connection": connection}

        asked = await asyncio.to_thread(operator.post, query, **fields)
        done = await asyncio.to_thread(operator.post, query, **fields, confirmed="yes")

        assert "Only this connection is closed" in asked.text
        assert said(done) == ["Ended 1 connection of “twin”."]
        # The rows stand newest first.
        await second.receive_close()
        assert (await first.ask("ping"))["type"] == "pong"


async def test_all_connections_of_an_identity_are_ended_and_counted(
    operator: Operator, embedded: DemoSite
) -> None:
    service = await asyncio.to_thread(operator.service_of, "default")
    fields = {"service": service, "identity": "both", "confirmed": "yes"}
    look = partial(operator.get, f"{PATH}?identity=both")
    async with (
        SiteSocket(embedded, "both") as first,
        SiteSocket(embedded, "both") as second,
    ):
        await asyncio.to_thread(until, look, has_two_rows)
        done = await asyncio.to_thread(operator.post, PATH, **fields)

        assert said(done) == ["Ended 2 connections of “both”."]
        await first.receive_close()
        await second.receive_close()
    again = await asyncio.to_thread(operator.post, PATH, **fields)
    assert said(again) == ["No process reported an open connection of “both”."]


@pytest.mark.redis
async def test_connections_of_all_processes_are_listed(
    start_site: Callable[..., DemoSite], redis_url: str
) -> None:
    sites = [start_site(REDIS_URL=redis_url) for _ in range(2)]
    operator = await asyncio.to_thread(Operator, sites[0])

    async with SiteSocket(sites[0], "here"), SiteSocket(sites[1], "there"):
        look = partial(identities_in, operator)
        found = await asyncio.to_thread(until, look, lambda names: len(names) == 2)

    assert set(found) == {"here", "there"}


def test_process_that_never_answers_delays_no_one(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "GATHER_SECONDS", 0.01)

    answer = admin.get(PAGE)

    assert answer.status_code == 200
    assert "0 processes answered" in answer.content.decode()


def test_reply_contains_the_newest_rows_and_counts_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = {
        f"host:{name}": {"rows": [row(2 * n + name) for n in range(200)], "total": 3000}
        for name in range(2)
    }
    monkeypatch.setattr(survey, "ask", lambda _: processes)

    found = listing.ask({})

    assert [one["since"] for one in found.rows] == list(range(399, 199, -1))
    assert found.total == 6000
    assert found.processes == ["host:0", "host:1"]


@pytest.mark.parametrize(
    ("field", "ref", "is_ambiguous"),
    [
        ("service", "default", True),
        ("service", "Chess", True),
        ("service", "Go", False),
        ("stream", "board", True),
        ("stream", "goban", False),
    ],
)
def test_name_that_several_have_is_not_searched_for(
    db: None, field: str, ref: str, is_ambiguous: bool
) -> None:
    for account_sid in (ACCOUNT_SID, OTHER_ACCOUNT_SID):
        operations.get_service(account_sid, "default")
        service = operations.create_service(account_sid, friendly_name="Chess")
        operations.create_stream(service, unique_name="board")
    service = operations.create_service(ACCOUNT_SID, friendly_name="Go")
    operations.create_stream(service, unique_name="goban")

    form = SearchForm({field: ref})

    said = [f"Several {field}s have this name: use the SID."] if is_ambiguous else []
    assert form.errors.get(field, []) == said


def test_name_of_a_stream_is_searched_for_in_the_named_service(stream: Stream) -> None:
    other = operations.create_service(ACCOUNT_SID)
    operations.create_stream(other, unique_name="board-1")

    form = SearchForm({"service": "Chess", "stream": "board-1"})

    assert form.is_valid()
    assert form.wanted["stream_sid"] == stream.sid


def test_page_says_how_many_rows_it_leaves_out(
    admin: Client, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {
        "process": "host:1",
        "service_sid": stream.service_id,
        "identity": "alice",
        "address": "",
        "protocol": "JSON",
        "client": HOSTILE,
        "subscriptions": 1,
        "round_trip_ms": -1,
        "unacknowledged": 0,
        "dropped": 0,
        "is_observer": True,
    }
    rows = [row(number, **fields) for number in range(200)]
    answers = {"host:1": {"rows": rows, "total": 5012}}
    monkeypatch.setattr(survey, "ask", lambda _: answers)

    page = admin.get(f"{PAGE}?page=4&identity=a").content.decode()

    assert "5012 connections." in page
    assert "Only the newest 200 are listed; 4812 more are not shown." in page
    assert "host:1" in page
    assert "identity=a&amp;page=1" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("permissions", "may_see", "may_end"),
    [
        ((), False, False),
        (("view_service",), False, False),
        (("monitor_stream",), False, False),
        (("change_service",), False, False),
        (("view_service", "monitor_stream"), True, False),
        (("view_service", "monitor_stream", "change_service"), True, True),
    ],
)
def test_connections_are_for_those_who_may_see_and_end_them(
    staff: StaffClient,
    stream: Stream,
    permissions: tuple[str, ...],
    may_see: bool,
    may_end: bool,
) -> None:
    client = staff(*permissions)
    fields = {"service": stream.service_id, "identity": "alice", "confirmed": "yes"}

    page = client.get(PAGE)
    done = client.post(PAGE, fields)

    assert (page.status_code == 200) is may_see
    assert (done.status_code == 302) is may_end
    assert LogEntry.objects.exists() is may_end
    assert page.status_code in {200, 403}


def test_strangers_are_sent_to_the_login(db: None) -> None:
    answer = Client().get(PAGE)

    assert "/admin/login/" in answer["Location"]


def test_service_and_stream_lead_to_their_connections(
    admin: Client, staff: StaffClient, stream: Stream
) -> None:
    stream_form = f"/admin/sync_streams/stream/{stream.sid}/change/"
    service_form = f"/admin/sync_streams/service/{stream.service_id}/change/"
    viewer = staff("view_stream", "view_service")

    assert f"{PAGE}?stream={stream.sid}" in admin.get(stream_form).content.decode()
    assert (
        f"{PAGE}?service={stream.service_id}"
        in admin.get(service_form).content.decode()
    )
    assert PAGE not in viewer.get(stream_form).content.decode()


async def test_connections_are_found_by_the_sid_of_their_stream(
    operator: Operator, embedded: DemoSite
) -> None:
    created = await asyncio.to_thread(post, embedded, "/default/Streams")

    async with SiteSocket(embedded, "listener") as socket:
        await socket.ask("subscribe", stream=created["sid"])
        look = partial(identities_in, operator, f"stream={created['sid']}")
        found = await asyncio.to_thread(until, look, lambda names: len(names) == 1)

    assert found == ["listener"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada", "Ada"),
        ("a b", "a b"),
        ("\u202egnp", "\\u202egnp"),
        (" ", "\\u0020"),
        ("\u3000", "\\u3000"),
        ("\U000e0041x", "\\U000e0041x"),
        ("日本", "日本"),
        ("\n", "\\u000a"),
    ],
)
def test_nothing_that_is_shown_is_invisible(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("metadata", "client"),
    [
        ({"sdk": "js", "sdkv": "4.0.1", "env": "Chrome"}, "js 4.0.1 Chrome"),
        ({"sdk": 4, "env": None, "envv": ["x"]}, ""),
        ({}, ""),
        ("js", ""),
        (None, ""),
        ([], ""),
    ],
)
def test_sdk_is_named_as_it_names_itself(metadata: object, client: str) -> None:
    frame = Frame(method="init", id="1", header={"metadata": metadata})

    assert client_of(frame) == client
