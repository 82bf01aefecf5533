"""The app in host projects with unusual settings, each on its own server.

`make hosts` runs all of them on each supported release of Django.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.clients.rest import WAIT_SECONDS
from tests.hosts.conftest import StartHost
from tests.hosts.host import GEVENT, Host, subscribed

STREAMS = "/v1/Services/default/Streams"
LOCK_SECONDS = 6
BY_ENDPOINT: dict[str, str] = {}
BY_VIEW = {"Origin": "https://app.example"}
"""The publish endpoint passes this on, through all middleware."""


async def ask(host: Host, method: str, path: str, **fields: Any) -> Any:
    """Send a request; return the status and the content."""
    answer = await asyncio.to_thread(host.call, method, path, **fields)
    return answer.status_code, answer.json() if answer.content else None


@dataclass(frozen=True)
class Mount:
    """The URLs of a host project."""

    rest: str = ""
    sockets: str = ""
    site: str = ""
    shown: str | None = None
    """Prefix in the URLs of responses, where it is not that of ``rest``."""


async def assert_serves(
    host: Host, mount: Mount = Mount(), *, sockets: Host | None = None
) -> None:
    """Create a Stream, let Messages arrive, remove the Stream, ask for the health."""
    streams = mount.rest + STREAMS
    status, created = await ask(host, "POST", streams, UniqueName="news", Ttl=3600)
    assert status == 201
    shown = mount.rest if mount.shown is None else mount.shown
    assert created["url"].startswith(f"{host.base_url}{shown}/v1/Services/IS")
    path = f"{streams}/news/Messages"
    async with subscribed(sockets or host, "news", mount.sockets) as (
        subscriber,
        answer,
    ):
        assert answer["stream"]["date_expires"] == created["date_expires"]

        for headers in BY_ENDPOINT, BY_VIEW:
            status, published = await ask(
                host, "POST", path, headers=headers, Data='{"n":1}'
            )

            assert status == 201
            assert (await subscriber.receive())["message"] == published
        assert await ask(host, "DELETE", f"{streams}/news") == (204, None)
        assert (await subscriber.receive())["type"] == "stream_removed"
    status, error = await ask(host, "POST", path, Data='{"n":1}')
    assert (status, error["code"]) == (404, 20404)
    for health in ("/livez", "/readyz"):
        assert (await ask(host, "GET", mount.site + health))[0] == 200
    assert "Traceback" not in host.output


async def assert_opens_below(host: Host, prefix: str, pages: str = "") -> None:
    """Look at the monitor of a Stream and at the snippets, as an admin."""
    _, stream = await ask(host, "POST", f"{pages}{STREAMS}", UniqueName="shown")
    path = f"{pages}/admin/sync_streams/stream/{stream['sid']}"
    cookies = {"Cookie": f"sessionid={await asyncio.to_thread(host.run, LOGIN)}"}

    monitor, change = [
        (await asyncio.to_thread(host.call, "GET", f"{path}/{page}/", cookies)).text
        for page in ("monitor", "change")
    ]

    assert f'data-socket="{prefix}/v1/websocket"' in monitor
    assert f'src="{prefix}/static/sync_streams/' in monitor
    assert f"{host.base_url}{prefix}/v1/Services/" in change
    assert f"{host.base_url.replace('http', 'ws', 1)}{prefix}/v1/websocket" in change
    assert f'href="{prefix}/admin/' in change


LOGIN = """
import json
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("root"))
print(json.dumps(client.session.session_key))
"""


async def test_a_transaction_for_each_request(start_host: StartHost) -> None:
    host = start_host("atomic_requests")

    await assert_serves(host)

    taken = {"UniqueName": "taken"}
    statuses = [(await ask(host, "POST", STREAMS, **taken))[0] for _ in range(2)]
    assert statuses == [201, 409]
    assert (await ask(host, "GET", f"{STREAMS}/taken"))[0] == 200


@pytest.mark.postgres
async def test_a_postgresql_of_the_apps_own(
    start_host: StartHost, host_postgres: str
) -> None:
    host = start_host("router", "default", "sync", HOST_POSTGRES=host_postgres)

    await assert_serves(host)

    _, service = await ask(host, "POST", "/v1/Services")
    path = f"/v1/Services/{service['sid']}"
    assert (await ask(host, "POST", f"{path}/Streams", UniqueName="x"))[0] == 201
    assert (await ask(host, "POST", path, FriendlyName="y"))[0] == 200
    assert (await ask(host, "DELETE", path))[0] == 204


def test_a_replica_that_is_behind(tmp_path: Path) -> None:
    host = Host(tmp_path, "replica")
    for database in ("default", "replica"):
        host.manage("migrate", "--verbosity", "0", "--database", database)

    made = host.run(BEHIND)

    assert made["statuses"] == [302, 302, 302]
    assert made["streams"] == ["board", "chat", "news"]
    assert made["published"] == ["news"]
    assert made["obtained"] == made["created"]
    assert made["ttl"] == 60


BEHIND = """
import json, shutil
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from sync_streams import operations
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.publishing import publish
from sync_streams.testing import capture_published
from tests.hosts.settings import ACCOUNT_SID, FOLDER

def catch_up():
    connections.close_all()
    shutil.copy(FOLDER / "host.sqlite3", FOLDER / "replica.sqlite3")

def send(path, **fields):
    return client.post(f"/admin/sync_streams/{path}/", fields).status_code

client = Client(raise_request_exception=False)
client.force_login(User.objects.create_superuser("root"))
window = {"reachability_debouncing_window": 5000}
statuses = [send("service/add", account_sid=ACCOUNT_SID, **window)]
catch_up()
service = Service.objects.get()
statuses.append(send("stream/add", service=service.sid, unique_name="board"))
catch_up()
board = Stream.objects.get()
statuses.append(send(f"stream/{board.sid}/change", ttl=60))
# What follows finds a Service and Streams that the replica does not have yet.
default = operations.get_service(ACCOUNT_SID, "default")
client_actor = Actor("alice", connection_id="1")
created = operations.create_stream(default, unique_name="chat", actor=client_actor)
obtained = operations.obtain_stream(default, "chat")
with capture_published() as published:
    publish("news", {"n": 1}, create=True)
there = Stream.objects.using("default").order_by("unique_name")
ends = there.get(sid=board.sid)
print(json.dumps({
    "statuses": statuses,
    "streams": [stream.unique_name for stream in there],
    "published": [one.stream.unique_name for one in published],
    "created": created.sid,
    "obtained": obtained.sid,
    "ttl": (ends.date_expires - ends.date_updated).total_seconds(),
}))
"""


@pytest.mark.postgres
async def test_a_lock_on_the_tables_is_waited_for_within_bounds(
    start_host: StartHost, host_postgres: str
) -> None:
    host = start_host("router", "default", "sync", HOST_POSTGRES=host_postgres)
    await ask(host, "POST", STREAMS, UniqueName="known")
    publish = f"{STREAMS}/known/Messages"
    async with subscribed(host, "known") as (subscriber, _):
        assert (await ask(host, "POST", publish, Data='{"n":0}'))[0] == 201
        with locked_tables(host_postgres):
            published = await publish_for(host, publish, LOCK_SECONDS)
            for method in ("GET", "POST", "DELETE"):
                status, error = await ask(host, method, f"{STREAMS}/known", Ttl=60)
                assert (status, error["code"]) == (503, 20503)
        frames = [await subscriber.receive() for _ in range(published + 1)]

    assert [f["message"]["data"]["n"] for f in frames] == list(range(published + 1))
    assert (await ask(host, "GET", f"{STREAMS}/known"))[0] == 200


@contextmanager
def locked_tables(postgres: str) -> Iterator[None]:
    """Lock the tables as a migration does, for as long as the block takes."""
    server, port, user, name = postgres.split()
    with psycopg.connect(host=server, port=port, user=user, dbname=name) as locker:
        locker.execute("LOCK TABLE sync_streams_stream, sync_streams_service")
        yield


async def publish_for(host: Host, path: str, seconds: float) -> int:
    """Publish 1, 2, 3 and so on; all must be accepted. Return the last number."""
    number, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        number += 1
        assert (await ask(host, "POST", path, Data=f'{{"n":{number}}}'))[0] == 201
        await asyncio.sleep(0.1)
    return number


async def test_local_times_without_a_zone(start_host: StartHost) -> None:
    host = start_host("local_time")

    await assert_serves(host)

    before = datetime.now(UTC)
    _, created = await ask(host, "POST", STREAMS, UniqueName="x", Ttl=3600)
    _, fetched = await ask(host, "GET", f"{STREAMS}/x")
    assert fetched == created
    ends = datetime.fromisoformat(fetched["date_expires"]) - timedelta(hours=1)
    assert abs(ends - before) < timedelta(seconds=WAIT_SECONDS)


@pytest.mark.postgres
@pytest.mark.parametrize("variant", ["local_time", "local_time_in_postgres"])
def test_the_hour_that_local_time_has_twice_is_two_hours(
    start_host: StartHost, host_postgres: str, variant: str
) -> None:
    host = start_host(variant, HOST_POSTGRES=host_postgres)

    moments = host.run(AUTUMN)

    # 00:30, 01:30 in summer time, 01:30 in winter time, 02:30 in Chicago
    assert moments == [f"2026-11-01T0{hour}:30:00+00:00" for hour in (5, 6, 7, 8)]


AUTUMN = """
import json
from datetime import UTC, datetime
from sync_streams import operations
from sync_streams.models import Stream
from tests.hosts.settings import ACCOUNT_SID
service = operations.get_service(ACCOUNT_SID, "default")
for hour in (5, 6, 7, 8):
    stream = operations.create_stream(service)
    stream.date_expires = datetime(2026, 11, 1, hour, 30, tzinfo=UTC)
    stream.save()
ends = Stream.objects.order_by("date_expires").values_list("date_expires", flat=True)
print(json.dumps([moment.isoformat() for moment in ends]))
"""


async def test_below_a_path(start_host: StartHost) -> None:
    await assert_serves(start_host("sub_path"), Mount(rest="/realtime"))


async def test_below_a_script_name(start_host: StartHost) -> None:
    host = start_host("script_name")

    await assert_serves(host, Mount(rest="/sync", sockets="/sync", site="/sync"))
    await assert_serves(host, Mount(shown="/sync"))  # the proxy has taken it off

    await assert_opens_below(host, "/sync", "/sync")


async def test_below_a_servers_root_path(start_host: StartHost) -> None:
    host = start_host("root_path", UVICORN_ROOT_PATH="/sync")

    await assert_serves(host, Mount(shown="/sync"))

    await assert_opens_below(host, "/sync")


async def test_gevent_workers_beside_a_server_of_sockets(
    start_host: StartHost, redis_url: str
) -> None:
    host = start_host("redis", HOST_REDIS=redis_url)
    worker = start_host("redis", server=GEVENT, HOST_REDIS=redis_url)

    await assert_serves(worker, sockets=host)
    await assert_serves(host)

    taken = {"UniqueName": "taken"}
    statuses = [(await ask(worker, "POST", STREAMS, **taken))[0] for _ in range(2)]
    assert statuses == [201, 409]
    # None of these may make Django refuse database access to the others.
    paths = ["/readyz", "/livez", f"{STREAMS}/taken"] * 5
    answers = await asyncio.gather(*(ask(worker, "GET", path) for path in paths))
    assert [status for status, _ in answers] == [200] * len(paths)
    status, error = await ask(worker, "GET", f"{STREAMS}/taken/Events")
    assert (status, error["code"]) == (503, 20503)


async def test_a_schema_of_the_projects_views(start_host: StartHost) -> None:
    host = start_host("spectacular")

    await assert_serves(host)

    assert "/v1/" not in host.manage("spectacular", "--fail-on-warn")


async def test_a_cache_for_the_whole_site(start_host: StartHost) -> None:
    host = start_host("site_cache")
    assert (await ask(host, "GET", f"{STREAMS}/news"))[0] == 404

    await assert_serves(host)

    for path in (STREAMS, f"{STREAMS}/news", "/livez", "/readyz"):
        answer = await asyncio.to_thread(host.call, "GET", path)
        assert "no-store" in answer.headers["Cache-Control"]
    home = await asyncio.to_thread(host.call, "GET", "/")
    assert home.headers["Cache-Control"] == "max-age=600"


async def test_a_login_for_every_page(start_host: StartHost) -> None:
    host = start_host("login_required")

    await assert_serves(host)

    home = await asyncio.to_thread(host.call, "GET", "/")
    assert home.headers["Location"] == "/admin/login/?next=/"
    url = f"{host.base_url}{STREAMS}"
    stranger = await asyncio.to_thread(requests.get, url, timeout=WAIT_SECONDS)
    assert (stranger.status_code, stranger.json()["code"]) == (401, 20003)


async def test_no_users(start_host: StartHost) -> None:
    host = start_host("without_users")
    assert "no issues" in host.manage("check")

    await assert_serves(host)

    url = f"{host.base_url}{STREAMS}"
    stranger = await asyncio.to_thread(requests.get, url, timeout=WAIT_SECONDS)
    assert (stranger.status_code, stranger.json()["code"]) == (401, 20003)


async def test_static_files_with_hashes(start_host: StartHost) -> None:
    host = start_host("manifest")
    host.manage("collectstatic", "--no-input", "--verbosity", "0")

    await assert_serves(host)

    await ask(host, "POST", STREAMS, UniqueName="x")
    pages = host.run(PAGES)
    assert [page["status"] for page in pages] == [200] * len(pages)
    assert all(page["is_hashed"] for page in pages)


PAGES = """
import json
import re
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from sync_streams.models import Stream
client = Client()
client.force_login(User.objects.create_superuser("root"))
stream = Stream.objects.get(unique_name="x")
pages = [
    reverse("admin:sync_streams_stream_changelist"),
    reverse("admin:sync_streams_stream_change", args=[stream.sid]),
    reverse("admin:sync_streams_stream_monitor", args=[stream.sid]),
]
answers = [client.get(page) for page in pages]
hashed = re.compile(rb"sync_streams/[a-z-]+\\.[0-9a-f]{12}\\.")
print(json.dumps([
    {"status": page.status_code, "is_hashed": bool(hashed.search(page.content))}
    for page in answers
]))
"""


@pytest.mark.postgres
@pytest.mark.parametrize(
    "variant", ["atomic_requests", "local_time_in_postgres", "router"]
)
def test_a_host_project_tests_itself_in_transactions(
    tmp_path: Path, host_postgres: str, variant: str
) -> None:
    host = Host(tmp_path, variant, HOST_POSTGRES=host_postgres)

    host.manage("test", "tests.hosts.case")


@pytest.mark.postgres
def test_changes_rolled_back_in_the_apps_database_are_not_announced(
    tmp_path: Path, host_postgres: str
) -> None:
    host = Host(tmp_path, "router", HOST_POSTGRES=host_postgres)
    host.manage("migrate", "--verbosity", "0", "--database", "sync")

    assert host.run(ROLLED_BACK) == ["kept"]


ROLLED_BACK = """
import json
from contextlib import suppress
from django.db import transaction
from sync_streams import operations, signals
from tests.hosts.settings import ACCOUNT_SID
told = []
signals.stream_created.connect(lambda stream, **_: told.append(str(stream)), weak=False)
service = operations.get_service(ACCOUNT_SID, "default")
with suppress(KeyError), transaction.atomic(using="sync"):
    operations.create_stream(service, unique_name="never")
    raise KeyError
with transaction.atomic(using="sync"):
    operations.create_stream(service, unique_name="kept")
    assert not told
print(json.dumps(told))
"""
