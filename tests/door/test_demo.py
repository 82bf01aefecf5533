"""The demo site issues tokens only on this machine; its data folder is private."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from project.exposure import comes_from_here, is_private
from tests.programs import DemoSite, free_port
from tests.test_project import post_token, run_project


def asked_through(site: DemoSite, **headers: str) -> tuple[int, int]:
    """Return the statuses of the page and of a token, with these request headers."""
    session = requests.Session()
    session.headers.update({name.replace("_", "-"): v for name, v in headers.items()})
    page = session.get(f"{site.base_url}/", allow_redirects=False, timeout=30)
    session.get(f"{site.base_url}/admin/login/", timeout=30)
    return page.status_code, post_token(site, session).status_code


FROM_ELSEWHERE = [
    {"X_Forwarded_For": "203.0.113.9"},
    {"X_Forwarded_For": "127.0.0.1, 203.0.113.9"},
    {"X_Forwarded_For": "somewhere"},
    {"X_Real_IP": "2001:db8::1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"CF_Connecting_IP": "203.0.113.9"},
]
FROM_HERE = [{}, {"X_Forwarded_For": "127.0.0.1"}, {"X_Real_IP": "::1"}]


def test_the_demo_is_open_to_this_machine_and_closed_behind_a_proxy(
    embedded: DemoSite,
) -> None:
    assert [asked_through(embedded, **it) for it in FROM_HERE] == [(200, 200)] * 3
    assert {asked_through(embedded, **it) for it in FROM_ELSEWHERE} == {(302, 403)}


@pytest.mark.parametrize(
    "environ",
    [
        {"ALLOWED_HOSTS": "127.0.0.1,demo.example.com"},
        {"ALLOWED_HOSTS": "*"},
        {"PUBLIC_URL": "https://demo.example.com", "ALLOWED_HOSTS": "127.0.0.1"},
    ],
    ids=["public host", "any host", "public URL"],
)
def test_the_demo_is_closed_where_it_has_a_public_name(
    environ: dict[str, str], start_site: Callable[..., DemoSite]
) -> None:
    port = free_port()
    start_site(PORT=str(port), **environ)
    page = requests.get(f"http://127.0.0.1:{port}/", allow_redirects=False, timeout=30)
    assert page.status_code == 302


def test_it_is_open_to_anyone_if_its_operator_says_so(
    start_site: Callable[..., DemoSite],
) -> None:
    site = start_site(DEMO_OPEN="1")
    assert asked_through(site, X_Forwarded_For="203.0.113.9") == (200, 200)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["127.0.0.1", "localhost", ".localhost", "[::1]", "a.localhost"], True),
        (["127.0.0.1", "0.0.0.0"], False),
        (["localhost.example.com"], False),
        ([""], False),
    ],
)
def test_hosts_of_this_machine_are_known(hosts: list[str], expected: bool) -> None:
    assert is_private(hosts) is expected


def test_a_header_of_a_proxy_counts_even_if_it_is_empty() -> None:
    assert not comes_from_here({"HTTP_VIA": ""})


def test_an_open_data_folder_is_reported_and_its_files_are_private(
    tmp_path: Path,
) -> None:
    run_project("provision", DATA_DIR=str(tmp_path))
    tmp_path.chmod(0o755)
    for file in tmp_path.iterdir():
        file.chmod(0o644)

    told = run_project("provision", DATA_DIR=str(tmp_path))

    assert f"{tmp_path} is open to other users" in told.stderr
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_closed_data_folder_is_not_mentioned(tmp_path: Path) -> None:
    told = run_project("provision", DATA_DIR=str(tmp_path / "new"))

    assert told.stderr == ""
    modes = {f.stat().st_mode & 0o077 for f in (tmp_path / "new").iterdir()}
    assert modes == {0}
