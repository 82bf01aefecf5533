"""The admin in a host project that serves it under a sub-path, in ``i18n_patterns``."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import get_script_prefix, set_script_prefix
from django.utils.translation import get_language, override
from pytest_django import Settings

from sync_streams.models import Stream

SUB_PATH = "/sub"
ADMIN = "/de/admin/sync_streams"
SOCKET = f"{SUB_PATH}/v1/websocket"
LINK = re.compile(r'(?:href|src|action|data-[a-z]+)="(/[^"]*)"')

pytestmark = pytest.mark.urls("tests.admin.localized_urls")


@pytest.fixture(autouse=True)
def _host(settings: Settings) -> Iterator[None]:
    settings.FORCE_SCRIPT_NAME = SUB_PATH
    # Set here, or what is cached with the prefix would outlast the test.
    settings.STATIC_URL = f"{SUB_PATH}/static/"
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.middleware.locale.LocaleMiddleware",
    ]
    # Django's handlers do this for each request, the test client's does not.
    before = get_script_prefix()
    set_script_prefix(f"{SUB_PATH}/")
    # A request's language stays active in its thread.
    with override(get_language()):
        yield
    set_script_prefix(before)


def pages(stream: Stream) -> list[str]:
    service = stream.service_id
    return [
        "/de/admin/",
        f"{ADMIN}/",
        f"{ADMIN}/stream/",
        f"{ADMIN}/stream/{stream.sid}/change/",
        f"{ADMIN}/stream/{stream.sid}/monitor/",
        f"{ADMIN}/service/",
        f"{ADMIN}/service/{service}/change/",
        f"{ADMIN}/service/{service}/monitor/",
        f"{ADMIN}/service/{service}/disconnect/",
        f"{ADMIN}/service/overview/",
        f"{ADMIN}/service/connections/",
        f"{ADMIN}/service/processes/",
    ]


def ours(page: str) -> set[str]:
    """Return the addresses in a page; static files and the site's root are not ours."""
    links = {link.partition("?")[0] for link in LINK.findall(page)}
    return {link for link in links if "/static/" not in link} - {"/", SUB_PATH}


@pytest.mark.django_db(transaction=True)
def test_every_address_in_every_page_is_one_of_the_mounted_site(
    admin: Client, stream: Stream
) -> None:
    found: set[str] = set()
    for url in pages(stream):
        answer = admin.get(url)
        assert answer.status_code == 200, url
        found |= ours(answer.content.decode())

    assert SOCKET in found
    lost = [link for link in found if not link.startswith(f"{SUB_PATH}/")]
    assert lost == []
    for link in found - {SOCKET}:
        status = admin.get(link.removeprefix(SUB_PATH)).status_code
        # 302: views of Django's admin that lead elsewhere; 405: only posted to.
        assert status in {200, 302, 405}, link


def test_snippets_name_the_mounted_site(admin: Client, stream: Stream) -> None:
    page = admin.get(f"{ADMIN}/stream/{stream.sid}/change/").content.decode()

    assert f"http://testserver{SUB_PATH}/v1/Services/{stream.service_id}" in page
    assert f"ws://testserver{SOCKET}" in page


def test_pages_speak_the_language_of_their_address(
    admin: Client, stream: Stream
) -> None:
    german = admin.get(f"{ADMIN}/service/overview/").content.decode()
    english = admin.get(f"{ADMIN}/service/overview/".replace("/de/", "/en/"))

    assert "Aktivste Streams" in german
    assert "Busiest streams" in english.content.decode()


def test_forms_lead_back_into_the_mounted_site(admin: Client, stream: Stream) -> None:
    path = f"{ADMIN}/service/connections/"
    fields = {"service": stream.service_id, "identity": "nobody", "confirmed": "1"}

    answer = admin.post(path, fields)

    assert answer["Location"] == f"{SUB_PATH}{path}"
