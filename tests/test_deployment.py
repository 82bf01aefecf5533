"""docs/deployment.md, executed: its settings, units, servers and commands."""

import asyncio
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
import redis
import requests

from sync_streams import checks
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import WAIT_SECONDS
from tests.deployment import (
    BIN,
    DOCUMENT,
    Deployment,
    deployed,
    lines,
    section,
    unit_command,
)
from tests.documents import ROOT, code_block, code_blocks
from tests.programs import Program, cannot_have, free_port
from tests.test_containers import instructions, kind

STREAMS = "/v1/Services/default/Streams"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    with deployed(folder, postgres_url=postgres_url, redis_url=redis_url) as site:
        yield site


def pids(site: Deployment) -> set[str]:
    return {file.read_text() for file in site.folder.glob("[0-9]*.pid")}


def publish(site: Deployment) -> requests.Response:
    site.request("POST", STREAMS, UniqueName="demo")
    return site.request("POST", f"{STREAMS}/demo/Messages", Data='{"n": 1}')


def test_settings_leave_nothing_to_check(site: Deployment) -> None:
    assert "no issues" in (site.folder / "check.txt").read_text()


async def test_site_serves_rest_and_sockets_behind_tls(site: Deployment) -> None:
    ready = await asyncio.to_thread(site.request, "GET", "/readyz")
    found = await asyncio.to_thread(publish, site)
    tls = ssl.create_default_context(cafile=site.certificate)
    async with SiteSocket(site, ssl=tls) as socket:
        await socket.ask("subscribe", stream="demo")
        await asyncio.to_thread(publish, site)
        heard = await socket.receive()

    stream = (await asyncio.to_thread(site.request, "GET", f"{STREAMS}/demo")).json()
    log = (site.folder / "sync_streams.log").read_text()
    parts = "database", "channel_layer", "publish_rate", "accepting", "event_loop"
    assert ready.json() == dict.fromkeys(
        [*parts, "descriptors", "database_writes"], True
    )
    assert found.status_code == 201
    assert heard["message"]["data"] == {"n": 1}
    assert stream["url"].startswith("https://sync.example.com/v1/")
    assert f"POST {STREAMS}/demo/Messages 201" in log


def test_admin_has_its_style_sheet_from_nginx(site: Deployment) -> None:
    page = site.request("GET", "/admin/login/")
    sheets = re.findall(r'href="(/static/[^"]+\.css)"', page.text)

    assert sheets
    for sheet in sheets:
        assert site.request("GET", sheet).headers["Content-Type"] == "text/css"


def test_each_secret_is_different(site: Deployment) -> None:
    path = site.folder / "sync-streams.env"
    values = [line.partition("=")[2] for line in path.read_text().splitlines()]
    secrets = [value for value in values if re.fullmatch("[0-9a-f]{64}", value)]

    assert "change-me" not in path.read_text()
    assert len(set(secrets)) == 4
    assert path.stat().st_mode & 0o777 == 0o600


def test_containers_get_the_secrets_as_files(site: Deployment) -> None:
    block = code_block(DOCUMENT, "sh", "pgpassword.secret")

    site.shell(block.replace("10001", str(os.getuid())))

    made = [site.folder / f"{name}.secret" for name in ("sync-streams", "pgpassword")]
    assert made[0].read_text() == (site.folder / "sync-streams.env").read_text()
    assert made[1].read_text() == f"{site.environ['PGPASSWORD']}\n"
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_role_and_database_are_made_as_shown(site: Deployment) -> None:
    block = code_block(DOCUMENT, "sh", "CREATE ROLE")
    names = ("PGHOST", "PGPORT", "PGUSER")
    host, port, user = (site.environ[name] for name in names)
    as_admin = f"export PGHOST={host} PGPORT={port} PGUSER={user} PGDATABASE=postgres\n"

    site.shell(as_admin + block.replace("runuser -u postgres --", ""))
    with psycopg.connect(host=host, port=port, dbname="sync", user="sync") as made:
        owner = made.execute("SELECT current_user").fetchone()

    with psycopg.connect(
        host=host, port=port, dbname="postgres", user=user, autocommit=True
    ) as admin:
        admin.execute("DROP DATABASE sync")
        admin.execute("DROP ROLE sync")
    assert owner == ("sync",)


def test_user_of_the_unit_is_the_one_that_is_added() -> None:
    added = code_block(DOCUMENT, "sh", "useradd").split()[-1]

    assert section("[Service]")["Service"]["User"] == added != "sync"


def test_log_of_nginx_holds_no_query_string(site: Deployment) -> None:
    site.request("GET", "/livez?token=secret")

    assert "secret" not in (site.folder / "sync_streams.log").read_text()


def test_restart_loses_no_publish(site: Deployment) -> None:
    before = pids(site)
    statuses, ended = [], Event()

    def go_on() -> None:
        while not ended.is_set():
            statuses.append(publish(site).status_code)
            ended.wait(0.05)  # stays below the rate of a Stream

    publisher = Thread(target=go_on)
    publisher.start()
    site.shell(code_block(DOCUMENT, "sh", "for port in"))
    ended.set()
    publisher.join()

    assert not before & pids(site)
    assert set(statuses) == {201}


def test_probes_of_containers_use_existing_endpoints(site: Deployment) -> None:
    (worker,) = kind("Deployment")["spec"]["template"]["spec"]["containers"]
    for name in ("livenessProbe", "startupProbe", "readinessProbe"):
        asked = worker[name]["httpGet"]
        port = site.ports[str(asked["port"])]
        headers = {one["name"]: one["value"] for one in asked["httpHeaders"]}

        url = f"http://127.0.0.1:{port}{asked['path']}"
        answer = requests.get(url, headers=headers, timeout=WAIT_SECONDS)

        assert answer.status_code == 200, answer.text


def test_health_check_of_the_image_asks_the_worker(site: Deployment) -> None:
    value = instructions("HEALTHCHECK")[0]
    check = json.loads(value[value.index("[") :])
    results = []
    for port in (site.ports["8001"], free_port()):
        environ = site.environ | {"UVICORN_PORT": str(port)}
        done = subprocess.run(check, env=environ, capture_output=True, check=False)
        results.append(done.returncode)

    assert results == [0, 1]


def test_daphne_serves_with_the_flags_shown(site: Deployment) -> None:
    block = code_block(DOCUMENT, "sh", "daphne ").replace("\\\n", " ")
    port = free_port()
    command = shlex.split(block.replace("8001", str(port)))
    command[command.index("-v") + 1] = (
        "1"  # it says when it listens, if it may log that
    )
    talkative = "from mysite.settings import *\nLOGGING['root']['level'] = 'INFO'\n"
    (site.folder / "mysite/talkative.py").write_text(talkative)
    environ = site.environ | {"DJANGO_SETTINGS_MODULE": "mysite.talkative"}
    daphne = Program(*command, ready="Listening on TCP", environ=environ)

    answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=WAIT_SECONDS)

    daphne.stop()
    assert answer.status_code == 200, daphne.output


def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        cannot_have("systemd-analyze")
    unit = tmp_path / "sync-streams@8001.service"
    text = code_block(DOCUMENT, "ini", "[Service]")
    unit.write_text(text.replace("/srv/mysite/.venv/bin", str(BIN)))

    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert (verified.returncode, ours) == (0, [])


def test_time_limits_for_stopping_exceed_one_another() -> None:
    drain = 10 + 2  # DRAIN_SECONDS, and the last closes
    command = unit_command()
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    stop = int(section("[Service]")["Service"]["TimeoutStopSec"])

    assert drain < graceful < stop


def test_nginx_is_configured_as_the_tests_have_it() -> None:
    tested = directives((ROOT / "project/nginx.conf").read_text().replace("$$", "$"))
    # The demo site's workers serve its static files themselves.
    block = code_block(DOCUMENT, "nginx", "upstream workers")
    shown = directives(re.sub(r"location /static/ {.*?}", "", block, flags=re.DOTALL))

    assert shown == tested


def directives(text: str) -> list[str]:
    """Return nginx's directives, except those that differ from site to site."""
    body = re.sub(r"#.*", "", text[text.index("map $http_upgrade") :])
    found = (" ".join(one.split()) for one in re.findall(r"[^;{}]+[;{]", body))
    own = ("listen ", "server 127", "server_name", "ssl_", "access_log", "$SERVERS")
    return [one for one in found if not one.startswith(own)]


def test_redis_takes_the_configuration(tmp_path: Path) -> None:
    binary = shutil.which("redis-server") or cannot_have("redis-server")
    port, path = free_port(), tmp_path / "redis.conf"
    wanted = lines("appendonly")
    text = "\n".join(shlex.join(words) for words in wanted).replace("''", '""')
    path.write_text(f"{text}\nport {port}\n")
    server = Program(binary, str(path), ready="eady to accept connections")

    with redis.Redis(port=port, decode_responses=True) as client:
        found = {name: client.config_get(name)[name] for name, *_ in wanted}

    server.stop()
    assert found["save"] == ""
    assert found["appendonly"] == "no"
    assert found["maxmemory"] == str(256 * 2**20)
    assert "pubsub 33554432 8388608 60" in found["client-output-buffer-limit"]


def test_kernel_knows_its_settings() -> None:
    for name, equals, *values in lines("net.core.somaxconn"):
        path = Path("/proc/sys", *name.split("."))
        assert equals == "="
        assert len(values) == len(path.read_text().split()), name


def test_every_check_is_listed() -> None:
    text = (ROOT / DOCUMENT).read_text()
    ids = set(re.findall(r"sync_streams\.([EW]\d+)", Path(checks.__file__).read_text()))

    assert ids == set(re.findall(r"`(?:sync_streams\.)?([EW]0\d\d)`", text))


@pytest.mark.parametrize(
    "document", ["README.md", "docs/deployment.md", "docs/metrics.md"]
)
def test_extras_that_are_installed_exist(document: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"sync-streams\[(.*?)\]", (ROOT / document).read_text())

    assert named
    for extras in named:
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_all_blocks_are_executed() -> None:
    counts = {"python": 3, "ini": 2, "sh": 9, "nginx": 2, "yaml": 0, "conf": 2}
    counts["haproxy"] = 1

    assert {name: len(code_blocks(DOCUMENT, name)) for name in counts} == counts
