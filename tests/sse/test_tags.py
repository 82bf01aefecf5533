"""Template tags and their view, in Chromium and with curl."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, RequestContext, Template
from django.test import AsyncClient, RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from playwright.async_api import BrowserContext, expect

from sync_streams import operations
from sync_streams.authorize import own_streams
from sync_streams.models import Stream
from sync_streams.publishing import apublish
from tests.browser.chromium import launched
from tests.browser.conftest import listen
from tests.clients.sse import EventSource
from tests.documents import ROOT, code_block
from tests.js.tools import modules
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID
from tests.sse.conftest import lines_of_curl
from tests.sse.pages import application
from tests.uvicorn_server import SECONDS, serving


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.sse.pages"):
        yield


@dataclass(frozen=True, slots=True)
class Host:
    """A site with a Stream ``board`` and a user ``ada``."""

    origin: str
    session: str

    def events(self, stream: str, *, session: str | None = None) -> EventSource:
        """Open the events of a Stream as the user."""
        value = self.session if session is None else session
        url = f"{self.origin}/events/{stream}/"
        return EventSource(url, Cookie=f"sessionid={value}")


@pytest.fixture
async def host(transactional_db: None) -> AsyncIterator[Host]:
    service = await operations.afind_service(ACCOUNT_SID, "default")
    await operations.aobtain_stream(service, "board")
    client: Any = AsyncClient()
    await client.aforce_login(await User.objects.acreate(username="ada"))
    async with serving(application) as port:
        yield Host(f"http://127.0.0.1:{port}", client.cookies["sessionid"].value)


@pytest.fixture
async def profile(browser_path: str, host: Host) -> AsyncIterator[BrowserContext]:
    """A browser in which ada is logged in."""
    async with launched(browser_path) as browser:
        context = await browser.new_context()
        cookie: Any = {"name": "sessionid", "value": host.session, "url": host.origin}
        await context.add_cookies([cookie])
        yield context


FAQ = ROOT / "docs/faq.md"

CSRF: dict[str, dict[str, Any]] = {
    "cookie": {},
    "httponly": {"CSRF_COOKIE_HTTPONLY": True},
    "session": {"CSRF_USE_SESSIONS": True},
    "names": {"CSRF_COOKIE_NAME": "x.y", "CSRF_HEADER_NAME": "HTTP_X_OTHER"},
}


@pytest.mark.browser
async def test_the_tag_connects_a_page(
    host: Host, profile: BrowserContext, subtests: pytest.Subtests
) -> None:
    for name, csrf in CSRF.items():
        complaints: list[str] = []
        page = await profile.new_page()
        listen(page, complaints)
        with subtests.test(name), override_settings(**csrf):
            await page.goto(f"{host.origin}/client")
            await expect(page.locator("#out")).to_have_text("subscribed")

            await apublish("board", {"text": "Hello <b>"})

            await expect(page.locator("#out")).to_have_text("Hello <b>")
            assert complaints == []
        await page.close()


@pytest.mark.browser
async def test_the_guides_page_gets_a_message(
    host: Host, profile: BrowserContext
) -> None:
    page, subscribed = await profile.new_page(), asyncio.Event()

    def note(text: str | bytes) -> None:
        if '"subscribed"' in str(text):
            subscribed.set()

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    await page.goto(f"{host.origin}/guide")
    async with asyncio.timeout(SECONDS):
        await subscribed.wait()

    async with page.expect_console_message(lambda said: "tea" in said.text) as said:
        await apublish("orders", {"item": "tea"})

    assert (await said.value).type == "log"


@pytest.mark.browser
async def test_the_references_event_source_gets_a_message(
    host: Host, profile: BrowserContext
) -> None:
    ada = await User.objects.aget()
    await apublish(f"orders-{ada.pk}", {}, create=True)
    page = await profile.new_page()
    await page.goto(f"{host.origin}/part")
    source = code_block("docs/wire-sse.md", "js", "EventSource")
    async with page.expect_response("**/orders/events/"):
        await page.add_script_tag(content=source)

    async with page.expect_console_message(lambda said: "tea" in said.text) as said:
        await apublish(f"orders-{ada.pk}", {"item": "tea"})

    assert (await said.value).type == "log"


@pytest.mark.browser
async def test_missing_static_files_are_reported_in_the_console(
    host: Host, profile: BrowserContext
) -> None:
    page = await profile.new_page()
    # As on a site without static files: without DEBUG, Django serves none.
    await page.route("**/static/**", lambda route: route.fulfill(status=404))
    async with page.expect_console_message(lambda said: said.type == "error") as said:
        await page.goto(f"{host.origin}/client")

    message = await said.value
    [row] = re.findall(
        r"^\| `(.*?) … (\d+) .*?`, at `(.*?)` \|", FAQ.read_text(), re.MULTILINE
    )
    assert message.text.startswith(row[0])
    assert row[1] in message.text
    assert message.location["url"].endswith(row[2])


NO_TOKEN = {
    "sync-token": "no access token: /token/ answers HTTP 403",
    "guarded": "no access token: the session has ended",
}


@pytest.mark.browser
async def test_a_page_without_a_user_reports_the_error_and_gives_up(
    host: Host, profile: BrowserContext, subtests: pytest.Subtests
) -> None:
    await profile.clear_cookies()
    for view, told in NO_TOKEN.items():
        page = await profile.new_page()
        with subtests.test(view):
            async with page.expect_console_message(
                lambda said: said.type == "warning"
            ) as said:
                await page.goto(f"{host.origin}/client/{view}")

            assert (await said.value).text == f"sync-streams: {told}"
            assert await page.evaluate("syncStreams.state") == "closed"
        await page.close()


@pytest.mark.browser
async def test_htmx_needs_no_other_script(
    host: Host, profile: BrowserContext, subtests: pytest.Subtests
) -> None:
    modules()  # without these packages the page loads no htmx
    for version in ("htmx2", "htmx4"):
        page = await profile.new_page()
        with subtests.test(version):
            # A client with a response is subscribed.
            async with (
                page.expect_response(lambda answer: "/events/" in answer.url),
                page.expect_response(lambda answer: "/rendered/" in answer.url),
            ):
                await page.goto(f"{host.origin}/page/{version}")

            await apublish("board", {"text": "<b>one</b>"})
            await apublish("board", {"text": "two"})

            await expect(page.locator("li")).to_have_text(["<b>one</b>", "two"])
            await expect(page.locator("p")).to_have_text("fetched")
        await page.close()


async def test_the_view_serves_curl(host: Host) -> None:
    options = ["-b", f"sessionid={host.session}"]
    lines = await lines_of_curl(*options, f"{host.origin}/events/board/")

    assert lines[1] == b"event: message\n"
    assert b'"data":{"n":1}' in lines[3]


async def test_the_view_refuses_users_who_are_not_logged_in(host: Host) -> None:
    async with host.events("board", session="x") as events:
        assert (await events.answer.json())["code"] == 54007


async def test_the_view_asks_the_hook_as_for_an_access_token(host: Host) -> None:
    with sync_settings(authorize=own_streams()):
        async with host.events("board") as refused, host.events("adam") as other:
            answers = [await each.answer.json() for each in (refused, other)]
        async with host.events("ada:1") as events:
            await apublish("ada:1", {"n": 1})
            event = await events.next()

    assert [answer["code"] for answer in answers] == [54007, 54007]
    assert event.json["message"]["data"] == {"n": 1}
    assert not await Stream.objects.filter(unique_name="adam").aexists()


async def test_the_view_creates_nothing_without_an_authorize_hook(host: Host) -> None:
    async with host.events("other") as events:
        assert (await events.answer.json())["code"] == 20404

    assert not await Stream.objects.filter(unique_name="other").aexists()


def render(source: str, context: Context | None = None) -> str:
    template = Template("{% load sync_streams %}" + source)
    return template.render(context or Context())


def test_events_of_any_name_stand_in_one_attribute() -> None:
    name = "a\"b' onload=<x>/é"

    html = render("<p {% stream_events name %}>", Context({"name": name}))

    address = "/events/a%22b&#x27;%20onload=%3Cx%3E/%C3%A9/"
    assert html == f'<p hx-ext="sse" sse-connect="{address}">'


def test_attributes_are_those_of_the_version() -> None:
    html = render('{% stream_events "a" htmx=4 %}')
    address = render('{% stream_events_url "a" %}')
    path = render('{% stream_events view="/other/" %}')

    assert html == 'hx-sse:connect="/events/a/"'
    assert address == "/events/a/"
    assert path == 'hx-ext="sse" sse-connect="/other/"'


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ('{% sync_streams "nowhere" %}', "TokenView"),
        ('{% stream_events "a" view="nowhere" %}', "session_events"),
    ],
)
def test_a_missing_view_is_reported(tag: str, meant: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f'named "nowhere".*{meant}'):
        render(tag)


class Nonce:
    """Lazy like Django's: false until it is used."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "abc"


def test_the_nonce_is_that_of_the_policy(rf: RequestFactory) -> None:
    request: Any = rf.get("/")
    assert "nonce" not in render("{% sync_streams %}", RequestContext(request))

    given = render('{% sync_streams nonce="x" %}', RequestContext(request))
    django = RequestContext(request, {"csp_nonce": Nonce()})
    request.csp_nonce = SimpleLazyObject(lambda: "def")
    package = RequestContext(request)

    assert '<script type="module" nonce="x">' in given
    assert '<script type="module" nonce="abc">' in render("{% sync_streams %}", django)
    assert '<script type="module" nonce="def">' in render("{% sync_streams %}", package)


def test_addresses_are_written_for_scripts() -> None:
    html = render(
        "{% sync_streams address %}", Context({"address": '/t?a="&</script>'})
    )

    assert r'"/t?a\u003D\u0022\u0026\u003C/script\u003E"' in html
    assert html.count("</script>") == 1
