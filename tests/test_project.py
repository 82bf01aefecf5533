"""The demo site as a newcomer starts it: with one command."""

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests import zygote
from tests.programs import (
    ROOT,
    DemoSite,
    Program,
    PythonProgram,
    demo_environ,
    free_port,
    site_environ,
)

SECRETS = ("Account SID:", "Auth token:", "API key SID:", "API key secret:", "Admin:")


def secrets_printed(site: DemoSite) -> list[str]:
    lines = site.output.replace(site.base_url, "").splitlines()
    return [line for line in lines if line.startswith(SECRETS)]


def run_project(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = site_environ(Path(environ.pop("DATA_DIR")), **environ)
    return zygote.run("-m", "project", *arguments, environ=environ)


def printed_command(site: DemoSite, start: str) -> str:
    lines = site.output.splitlines()
    return next(line for line in lines if line.startswith(start))


def post_token(site: DemoSite, session: requests.Session) -> requests.Response:
    csrf = {"X-CSRFToken": str(session.cookies["csrftoken"])}
    return session.post(f"{site.base_url}/token", headers=csrf, timeout=30)


def test_second_run_prints_the_same_credentials(
    start_site: Callable[..., DemoSite],
) -> None:
    site = start_site()
    first = secrets_printed(site)

    site.restart()

    assert len(first) == len(SECRETS)
    assert secrets_printed(site) == first


def test_credentials_are_kept_for_their_owner_only(embedded: DemoSite) -> None:
    file = embedded.data_dir / "credentials.env"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_credentials_readable_by_others_are_closed_to_them(tmp_path: Path) -> None:
    run_project("provision", DATA_DIR=str(tmp_path))
    file = tmp_path / "credentials.env"
    file.chmod(0o644)

    run_project("provision", DATA_DIR=str(tmp_path))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_folder_made_for_the_data_is_closed_to_others(tmp_path: Path) -> None:
    run_project("provision", DATA_DIR=str(tmp_path / "new"))

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_environment_wins_over_kept_credentials(
    start_site: Callable[..., DemoSite],
) -> None:
    site = start_site(SYNC_AUTH_TOKEN="token-from-the-environment-of-the-test")

    assert site.auth_token == "token-from-the-environment-of-the-test"


def test_two_first_runs_at_once_agree_on_the_credentials(tmp_path: Path) -> None:
    environ = site_environ(tmp_path)
    code = (
        "from project.settings import CREDENTIALS; print(sorted(CREDENTIALS.items()))"
    )

    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = {run.communicate(timeout=60)[0] for run in runs}

    assert len(outputs) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.env"]


def test_incomplete_credentials_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "credentials.env").write_text("SECRET_KEY=only-this\n")

    result = run_project(DATA_DIR=str(tmp_path))

    assert result.returncode == 1
    assert "credentials.env lacks SYNC_ACCOUNT_SID" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("step", [[], ["cluster"]], ids=["demo", "cluster"])
def test_busy_port_is_one_clear_line(tmp_path: Path, step: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

        result = run_project(*step, DATA_DIR=str(tmp_path), PORT=port)

    assert result.returncode == 1
    start = f"Cannot start: 127.0.0.1:{port}: Address already in use; try PORT="
    assert result.stderr.startswith(start)
    assert int(result.stderr.removeprefix(start)) > int(port)
    assert result.stdout == ""


def test_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    result = run_project(DATA_DIR=str(in_the_way / "data"))

    assert result.returncode == 1
    assert str(in_the_way) in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("HOST", "no.such.host.invalid"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("DRAIN_SECONDS", "ten"),
    ],
)
def test_unusable_setting_is_one_clear_line(
    tmp_path: Path, name: str, value: str
) -> None:
    result = run_project(DATA_DIR=str(tmp_path), **{name: value})

    assert result.returncode == 1
    assert result.stderr.startswith("Cannot start: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_cleanly(
    start_site: Callable[..., DemoSite], with_signal: int
) -> None:
    site = start_site()
    requests.get(site.base_url, timeout=30)
    before = site.output

    assert site.stop(with_signal) == 0
    assert site.output == before


def test_printed_curl_line_publishes_when_pasted(embedded: DemoSite) -> None:
    command = printed_command(embedded, "curl ")

    result = subprocess.run(
        ["bash", "-c", command.replace("curl", "curl --silent --show-error", 1)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert '"sid":"TZ' in result.stdout.replace(" ", "")
    assert "Hello from curl" in result.stdout


@pytest.mark.clients
def test_printed_python_lines_publish_when_pasted(embedded: DemoSite) -> None:
    starts = ("from twilio", "client = ", "client.sync.base_url", "client.sync.v1")
    lines = [printed_command(embedded, start) for start in starts]
    code = "\n".join([*lines[:3], f"print({lines[3]}.sid)"])

    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert result.stdout.startswith("TZ")


def test_page_is_open_to_anyone_on_the_loopback_interface(embedded: DemoSite) -> None:
    response = requests.get(f"{embedded.base_url}/", timeout=30)

    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "default-src 'self'"


def test_page_and_token_are_for_staff_if_the_site_is_public(
    start_site: Callable[..., DemoSite],
) -> None:
    site = start_site(PUBLIC_URL="", DEMO_OPEN="0")
    session = requests.Session()

    page = session.get(f"{site.base_url}/", allow_redirects=False, timeout=30)
    session.get(f"{site.base_url}/admin/login/", timeout=30)
    token = post_token(site, session)

    assert page.headers["Location"] == "/admin/login/?next=/"
    assert token.status_code == 403


def test_token_is_refused_without_the_csrf_token(embedded: DemoSite) -> None:
    response = requests.post(f"{embedded.base_url}/token", timeout=30)

    assert response.status_code == 403


def test_token_is_given_to_the_page(embedded: DemoSite) -> None:
    session = requests.Session()
    session.get(f"{embedded.base_url}/", timeout=30)

    response = post_token(embedded, session)

    assert response.json()["identity"].startswith("guest-")
    assert response.json()["token"].count(".") == 2


def test_admin_accepts_the_printed_login(embedded: DemoSite) -> None:
    session = requests.Session()
    login = f"{embedded.base_url}/admin/login/"
    session.get(login, timeout=30)
    form = {
        "username": "admin",
        "password": embedded.admin_password,
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }

    session.post(login, data=form, timeout=30)

    assert "sessionid" in session.cookies


def peak_memory_bytes(site: DemoSite) -> int:
    status = Path(f"/proc/{site.program.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def test_a_body_of_any_length_costs_no_memory(embedded: DemoSite) -> None:
    megabyte = b"a" * 1024 * 1024
    before = peak_memory_bytes(embedded)

    response = requests.post(
        f"{embedded.base_url}/v1/Services/default/Streams/demo/Messages",
        data=(megabyte for _ in range(64)),  # without a Content-Length
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=(embedded.account_sid, embedded.auth_token),
        timeout=60,
    )

    assert (response.status_code, response.json()["code"]) == (413, 54006)
    assert peak_memory_bytes(embedded) - before < 32 * len(megabyte)


def test_a_refused_host_costs_no_line_of_the_log(embedded: DemoSite) -> None:
    before = embedded.output
    url = f"{embedded.base_url}/v1/Services"

    response = requests.get(url, headers={"Host": "evil.example"}, timeout=30)

    assert (response.status_code, response.json()["code"]) == (400, 20001)
    assert embedded.output == before


@pytest.mark.parametrize(
    ("target", "ready"), [("run", "Ctrl-C ends"), ("serve", "Uvicorn running")]
)
def test_make_starts_a_server(tmp_path: Path, target: str, ready: str) -> None:
    port = free_port()
    environ = site_environ(tmp_path, PORT=str(port))

    with Program("make", target, ready=ready, environ=environ) as server:
        response = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30)

    assert response.status_code == 200, server.output


def test_static_files_are_served_without_debug(embedded: DemoSite) -> None:
    url = f"{embedded.base_url}/static/admin/css/base.css"

    response = requests.get(url, timeout=30)
    again = {"If-None-Match": response.headers["ETag"]}

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/css")
    assert requests.get(url, headers=again, timeout=30).status_code == 304
    assert requests.head(url, timeout=30).status_code == 200


def test_own_password_of_the_admin_is_kept(start_site: Callable[..., DemoSite]) -> None:
    site = start_site()
    site.stop()

    assert "with the password that you set" in _printed_with_another(site.data_dir)


def _printed_with_another(data_dir: Path) -> str:
    environ = demo_environ(data_dir, PORT="0", ADMIN_PASSWORD="another-password")
    program = PythonProgram("-m", "project", ready="Ctrl-C ends", environ=environ)
    program.stop(signal.SIGINT)
    return program.output
