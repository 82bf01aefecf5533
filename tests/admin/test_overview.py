"""The overview of all processes, for those who may view Services."""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from sync_streams.delivery.cluster import ranking, stats
from sync_streams.delivery.cluster.history import NAMES, SAMPLES
from sync_streams.models import Stream
from tests.admin.conftest import StaffClient
from tests.admin.operator import Operator, until
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import post
from tests.programs import DemoSite

PAGE = "/admin/sync_streams/service/overview/"
FIGURES = "/admin/sync_streams/service/figures/"
PROCESSES = "/admin/sync_streams/service/processes/"
HOSTILE = "<b>overview\u202e"


@pytest.mark.parametrize("url", [PAGE, FIGURES])
@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        ((), 403),
        (("view_stream", "monitor_stream"), 403),
        (("view_service",), 200),
        (("change_service",), 200),
    ],
)
def test_overview_is_for_those_who_may_view_services(
    staff: StaffClient, db: None, url: str, permissions: tuple[str, ...], status: int
) -> None:
    assert staff(*permissions).get(url).status_code == status


@pytest.mark.parametrize("url", [PAGE, FIGURES])
def test_strangers_are_sent_to_the_login(db: None, url: str) -> None:
    assert "/admin/login/" in Client().get(url)["Location"]


def test_panel_is_shown_to_those_who_may_view_services(
    admin: Client, staff: StaffClient, stream: Stream
) -> None:
    url = "/admin/sync_streams/"

    assert FIGURES in admin.get(url).content.decode()
    assert FIGURES not in staff("view_stream").get(url).content.decode()


def test_figures_hold_an_hour_when_no_process_answers(admin: Client) -> None:
    answer = admin.get(FIGURES).json()

    assert answer["processes"]["answered"] == 0
    assert set(answer["history"]) == set(NAMES)
    assert {len(series) for series in answer["history"].values()} == {SAMPLES}


def told(stream: Stream, subscribers: int = 3) -> stats.Stats:
    figures = {"connections": 2, "unreachable": 1, "leaving": 0, "dropped": 0}
    return stats.Stats(
        subscribers={stream.sid: subscribers, "TO" + "0" * 32: 9},
        processes={"host:1": figures, "host:2": {**figures, "unreachable": 0}},
        versions={"host:1": "1", "host:2": "2"},
    )


def ranked(stream: Stream) -> ranking.Ranking:
    hour = [*[0.0] * 59, 2.0]
    removed, silent = "TO" + "0" * 32, "TO" + "1" * 32
    return {
        "streams": [
            ranking.Ranked(removed, 9.0, hour),
            ranking.Ranked(stream.sid, 2.5, hour),
            ranking.Ranked(silent, 0.0, hour),
        ],
        "services": [ranking.Ranked(stream.service_id, 4.0, hour)],
    }


def test_busiest_streams_are_named_to_those_who_may_view_them(
    admin: Client, staff: StaffClient, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "ask", lambda **_: told(stream))
    monkeypatch.setattr(ranking, "ask", lambda _: ranked(stream))

    shown = admin.get(FIGURES).json()
    hidden = staff("view_service").get(FIGURES).json()

    assert [row["name"] for row in shown["streams"]] == ["board-1"]
    assert [row["subscribers"] for row in shown["services"]] == [3]
    assert [row["rate"] for row in shown["busy_streams"]] == [2.5]
    assert [row["rate"] for row in shown["busy_services"]] == [4]
    assert shown["busy_streams"][0]["last_hour"][-1] == 2
    assert hidden["streams"] == hidden["busy_streams"] == []
    assert len(hidden["busy_services"]) == 1
    assert shown["totals"]["connections"] == 4
    assert shown["processes"] == {
        "answered": 2,
        "unreachable": 1,
        "draining": 0,
        "versions": 2,
    }


def test_figures_cost_few_queries(
    admin: Client,
    stream: Stream,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(stats, "ask", lambda **_: told(stream))
    monkeypatch.setattr(ranking, "ask", lambda _: ranked(stream))

    with django_assert_max_num_queries(8):
        admin.get(FIGURES)


async def test_subscribers_of_a_hostile_name_are_shown_as_text(
    embedded: DemoSite,
) -> None:
    operator = await asyncio.to_thread(Operator, embedded)
    fields = {"UniqueName": "<b>overview</b>"}
    await asyncio.to_thread(post, embedded, "/default/Streams", **fields)

    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream="<b>overview</b>")
        path = "sync_streams/service/figures/"
        look = partial(figures_of, operator, path)
        await socket.ask("publish", stream="<b>overview</b>", data={})
        figures = await asyncio.to_thread(
            until, look, lambda found: found["streams"] and found["busy_streams"]
        )

    names = [row["name"] for row in figures["streams"]]
    assert "<b>overview</b>" in names
    busy = {row["name"]: row for row in figures["busy_streams"]}
    assert busy["<b>overview</b>"]["rate"] > 0
    assert "default" in {row["name"] for row in figures["busy_services"]}
    assert figures["totals"]["connections"] >= 1
    assert figures["is_layer_reachable"]


def figures_of(operator: Operator, path: str) -> Any:
    return operator.get(path).json()


def test_processes_page_shows_late_and_silent_ones(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = dict.fromkeys(stats.figures, 0) | {
        "lag_ms": 12,
        "unreachable": 0,
        "serving": 0,
        "uptime_seconds": 7200,
        "memory_bytes": 50 * 1024 * 1024,
    }
    found = stats.Stats(
        processes={
            "late:1": {**figures, "answered_ms": 700, "serving": 1},
            "fresh:1": {**figures, "answered_ms": 3},
            "unreachable:1": {**figures, "answered_ms": 3, "unreachable": 1},
        },
        versions={"late:1": "0.1", "fresh:1": "0.2<b>", "unreachable:1": "0.1"},
        silent={"gone:1": 42},
    )
    monkeypatch.setattr(stats, "ask", lambda *_, **__: found)

    page = admin.get(PROCESSES).content.decode()

    for text in (
        "700 ms: too late for the figures on other pages",
        "no sockets yet",
        "unreachable",
        "no response",
        "gone:1",
        "42",
        "0.2&lt;b&gt;",
        "2\xa0hours",
        "50.0\xa0MB",
        "12 ms",
    ):
        assert text in page
