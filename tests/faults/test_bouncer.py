"""PgBouncer in transaction mode between the site and PostgreSQL, as documented."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict

from tests.clients.rest import WAIT_SECONDS, request
from tests.faults.worker import Worker, provision
from tests.programs import Program, as_postgres, cannot_have, free_port

pytestmark = [pytest.mark.redis, pytest.mark.postgres]

DATABASE = "bounced"
CONNECTIONS = 2
"""Connections to PostgreSQL, for a worker that has up to 8 to PgBouncer."""
PASSWORD = "behind-a-bouncer"
STREAMS = "/v1/Services/default/Streams"
CONFIGURATION = f"""\
[databases]
* = host={{host}} port={{port}} user={{user}}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {{listen}}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {CONNECTIONS}
logfile =
pidfile =
"""


@pytest.fixture(scope="module")
def bounced_url(
    postgres_url: str,
) -> Iterator[str]:
    """URL of an empty database, through PgBouncer."""
    places = f"{os.environ['PATH']}:/usr/sbin"
    binary = shutil.which("pgbouncer", path=places) or cannot_have("PgBouncer")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    known, listen = conninfo_to_dict(postgres_url), free_port()
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: root's alone
        path = Path(folder, "pgbouncer.ini")
        path.write_text(CONFIGURATION.format(listen=listen, **known))
        with Program(*as_postgres(folder), binary, str(path), ready="process up"):
            yield f"postgres://{known['user']}@127.0.0.1:{listen}/{DATABASE}"


@pytest.fixture(scope="module")
def worker(
    bounced_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("bounced")
    environ = {"DATABASE_URL": bounced_url, "REDIS_URL": redis_url, "PGOPTIONS": ""}
    environ["ADMIN_PASSWORD"] = PASSWORD
    provision(folder, **environ)  # its migrations go through it, too
    with Worker(folder, **environ) as worker:
        yield worker


def live(worker: Worker, name: str) -> list[int]:
    """Create a Stream, publish to it, list it and remove it; return the statuses."""
    answers = [
        request(worker, "POST", STREAMS, UniqueName=name),
        request(worker, "POST", f"{STREAMS}/{name}/Messages", Data='{"n": 1}'),
        request(worker, "GET", f"{STREAMS}?PageSize=100"),
        request(worker, "DELETE", f"{STREAMS}/{name}"),
    ]
    return [answer.status_code for answer in answers]


def test_many_requests_share_few_connections(worker: Worker, postgres_url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = [f"s{number}" for number in range(40)]
        statuses = list(threads.map(lambda name: live(worker, name), names))
    ready = requests.get(f"{worker.base_url}/readyz", timeout=WAIT_SECONDS)
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        used = connection.execute(query, [DATABASE]).fetchone()

    assert statuses == [[201, 201, 200, 204]] * len(names)
    assert ready.status_code == 200
    assert used
    assert 1 <= used[0] <= CONNECTIONS


def test_pages_of_the_admin_are_served(worker: Worker) -> None:
    with requests.Session() as browser:
        login = f"{worker.base_url}/admin/login/"
        form = browser.get(login, timeout=WAIT_SECONDS).text
        [found, *_] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        fields = {"username": "admin", "password": PASSWORD}
        fields |= {"csrfmiddlewaretoken": found, "next": "/admin/sync_streams/stream/"}
        page = browser.post(login, fields, timeout=WAIT_SECONDS)

    assert page.status_code == 200
    assert page.url.endswith("/admin/sync_streams/stream/")
    assert "Traceback" not in worker.program.output
