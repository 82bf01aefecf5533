"""Search by any part of a name on PostgreSQL, by prefix elsewhere, as the page says."""

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.test import Client

from sync_streams.models import Stream
from tests.admin.conftest import StaffClient
from tests.admin.operator import Operator
from tests.clients.rest import post
from tests.programs import DemoSite

STREAMS = "/admin/sync_streams/stream/"
HINT = "any part of a unique name"


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """An empty database with an owner of the tables who has few other rights."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS search WITH (FORCE)")
        connection.execute("CREATE DATABASE search")
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk LOGIN")
    url = postgres_url.rpartition("/")[0] + "/search"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO clerk")
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE search WITH (FORCE)")
        connection.execute("DROP ROLE clerk")


def names_in(page: str) -> list[str]:
    return re.findall(r">(board-\d+)<", page)


def has_trigrams(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"
        )
        return found.fetchone() is not None


def test_postgresql_finds_names_by_any_part(
    start_site: Callable[..., DemoSite], database: str
) -> None:
    if not has_trigrams(database):
        pytest.fail("this PostgreSQL has no pg_trgm: install its contrib modules")
    site = start_site(DATABASE_URL=database)
    post(site, "/default/Streams", UniqueName="board-1")

    page = Operator(site).get("sync_streams/stream/?q=OARD").text

    assert names_in(page) == ["board-1"]
    assert HINT in page


def test_index_serves_the_search(
    start_site: Callable[..., DemoSite], database: str
) -> None:
    start_site(DATABASE_URL=database)
    with psycopg.connect(database) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT * FROM sync_streams_stream "
            "WHERE UPPER(unique_name::text) LIKE UPPER('%oar%')"
        ).fetchall()

    assert "sync_streams_stream_name_trgm" in str(plan)


def test_without_the_extension_names_are_searched_by_their_start(
    start_site: Callable[..., DemoSite], database: str
) -> None:
    site = start_site(DATABASE_URL=database.replace("postgres@", "clerk@"))
    post(site, "/default/Streams", UniqueName="board-1")
    operator = Operator(site)

    assert names_in(operator.get("sync_streams/stream/?q=oard").text) == []
    page = operator.get("sync_streams/stream/?q=Boar").text
    assert names_in(page) == ["board-1"]
    assert HINT not in page
    assert "Start of a SID or unique name" in page


def test_newest_stream_comes_first(admin: Client, stream: Stream) -> None:
    Stream.objects.create(
        service=stream.service, account_sid=stream.account_sid, unique_name="newer"
    )

    answer = admin.get(STREAMS)

    names = [row.unique_name for row in answer.context["cl"].result_list]
    assert names == ["newer", "board-1"]


def test_viewers_see_when_a_stream_expires_and_no_ttl(
    staff: StaffClient, stream: Stream
) -> None:
    client = staff("view_stream")

    page = client.get(f"{STREAMS}{stream.sid}/change/").content.decode()

    assert "does not expire" in page
    assert "Ttl" not in page
    assert "None" not in page


@pytest.mark.parametrize("model", ["stream", "service"])
def test_every_editable_field_has_a_help_text(
    admin: Client, stream: Stream, model: str
) -> None:
    sid = stream.sid if model == "stream" else stream.service_id
    for path in ("add/", f"{sid}/change/"):
        answer = admin.get(f"/admin/sync_streams/{model}/{path}")

        fields = answer.context["adminform"].form.fields
        assert [name for name, field in fields.items() if not field.help_text] == []


def test_name_that_cannot_be_seen_is_written_out(admin: Client, stream: Stream) -> None:
    Stream.objects.update(unique_name="\u200b\u202e")

    page = admin.get(STREAMS).content.decode()

    assert "\\u200b\\u202e" in page
