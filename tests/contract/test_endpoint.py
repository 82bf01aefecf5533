"""The endpoint's responses are those of the Django view, byte for byte."""

import asyncio
import json
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.asgi import get_asgi_application
from django.urls import include, path
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from sync_streams.asgi import PublishEndpoint, lifespan
from sync_streams.concurrency import BoundedRequests
from sync_streams.delivery.hooks import hooks
from sync_streams.delivery.hub import get_hub
from sync_streams.models import Service
from sync_streams.rest.bodies import MAX_BODY_BYTES
from tests.clients.json_socket import LocalSocket
from tests.contract.http import (
    BASIC,
    FORM,
    Answer,
    Application,
    Request,
    ask,
    publication,
)
from tests.logs import lines_of
from tests.overrides import sync_settings
from tests.settings import OTHER_ACCOUNT_SID, OTHER_AUTH_TOKEN
from tests.waiting import until

SECONDS = 30
PATH = "/v1/Services/default/Streams/news/Messages"
UNREACHABLE = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
    }
}
BODY = urlencode({"Data": '{"n": 1}'}).encode()

urlpatterns = [
    path("api/sync/", include(([path("", include("sync_streams.urls"))], "api")))
]

each = hypothesis_settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def _unreachable(*_: object) -> None:
    raise AssertionError("it was handed on")


@pytest.fixture
def django() -> Application:
    """The path through Django: its handler, the site's middleware, the view."""
    return get_asgi_application()


async def both(django: Application, request: Request) -> Answer:
    """Send it to Django and twice to the endpoint, compare, and return the response."""
    endpoint = PublishEndpoint(_unreachable)
    expected = await ask(django, request)
    for _ in range(2):  # the second time from the cache
        answer = await ask(endpoint, request)
        assert answer.comparable() == expected.comparable()
    return expected


def _with(*headers: tuple[bytes, bytes], body: bytes = BODY, **changes: Any) -> Request:
    """Return a publication with other headers; without value: without the header."""
    request = replace(publication(PATH, body), **changes)
    names = {name for name, _ in headers}
    kept = [header for header in request.headers if header[0] not in names]
    added = [(name, value) for name, value in headers if value]
    return replace(request, headers=[*kept, *added])


async def test_a_message_is_published_with_the_same_response(
    django: Application, news: Service
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")

        answer = await both(django, publication(PATH, BODY))

        assert await socket.numbers(3) == [1, 1, 1]
    assert answer.status == 201
    assert json.loads(answer.body)["data"] == {"n": 1}
    assert answer.header(b"Twilio-Request-Id").startswith(b"RQ")
    assert answer.header(b"X-Content-Type-Options") == b"nosniff"


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"]
)
@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("authorization", [BASIC, b"Basic x"])
async def test_every_method_gets_the_same_response(
    django: Application, news: Service, method: str, end: str, authorization: bytes
) -> None:
    request = _with((b"authorization", authorization), method=method, path=PATH + end)

    answer = await both(django, request)

    expected = {True: {204, 404, 405}, False: {401}}[authorization == BASIC]
    assert answer.status in expected


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"authorization", b""), 401),
        ((b"authorization", b"Bearer x"), 401),
        ((b"authorization", b"Basic " + b"=" * 9), 401),
        ((b"authorization", b"Basic \xff"), 401),
        ((b"authorization", BASIC.lower()), 401),
        ((b"authorization", BASIC.replace(b"Basic", b"bAsIc")), 201),
        ((b"authorization", BASIC + b", " + BASIC), 401),
        ((b"content-type", b""), 400),
        ((b"content-type", b"text/plain"), 400),
        ((b"content-type", b"multipart/form-data"), 400),
        ((b"content-type", FORM + b"; charset=utf-8"), 201),
        ((b"content-type", FORM + b"; charset=hex"), 400),
        ((b"content-type", FORM.upper()), 201),
        ((b"content-type", b"application/json"), 400),
        ((b"content-type", b"\xff;;"), 400),
        ((b"content-length", b""), 201),
        ((b"x-http-method-override", b"DELETE"), 201),
        ((b"accept", b"text/html"), 201),
        ((b"host", b"other.example:8443"), 201),
    ],
)
async def test_every_header_gets_the_same_response(
    django: Application, news: Service, header: tuple[bytes, bytes], status: int
) -> None:
    assert (await both(django, _with(header))).status == status


async def test_a_repeated_header_gets_the_same_response(
    django: Application, news: Service
) -> None:
    for name, value in ((b"authorization", BASIC), (b"content-type", FORM)):
        request = _with()
        request = replace(request, headers=[*request.headers, (name, value)])
        assert (await both(django, request)).status in {400, 401}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"Data=", 400),
        (b"Data=%", 400),
        (b"Data=%FF", 400),
        (b"Data=%7B%7D", 201),
        (b"Data=%5B%5D", 400),
        (b"Data=%7B%22%C3%A9%22%3A%22%E2%82%AC%22%7D", 201),
        (b"Data=1&Data=%7B%7D", 201),
        (b"data=%7B%7D", 400),
        (b"&".join([b"a=1"] * 101), 400),
        (urlencode({"Data": json.dumps({"a": "x" * 4088})}).encode(), 201),
        (urlencode({"Data": json.dumps({"a": "x" * 4089})}).encode(), 413),
        (urlencode({"Data": "[" * 60_000}).encode(), 400),
        (b"Data=%7B%7D&x=".ljust(MAX_BODY_BYTES, b"a"), 201),
        (b"Data=%7B%7D&x=".ljust(MAX_BODY_BYTES + 1, b"a"), 413),
        (b"a" * 1_000_000, 413),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_every_body_gets_the_same_response(
    django: Application, news: Service, body: bytes, status: int
) -> None:
    assert (await both(django, publication(PATH, body))).status == status
    chunks = [body[at : at + 4096] for at in range(0, len(body), 4096)] or [b""]
    chunked = _with((b"content-length", b""), pieces=chunks)
    assert (await both(django, chunked)).status == status


async def test_a_body_in_pieces_of_one_byte_gets_the_same_response(
    django: Application, news: Service
) -> None:
    pieces = [b"", *(BODY[at : at + 1] for at in range(len(BODY))), b""]
    chunked = (b"transfer-encoding", b"chunked")

    answer = await both(django, _with((b"content-length", b""), chunked, pieces=pieces))

    assert answer.status == 201


@pytest.mark.parametrize("pieces", [[b""], [BODY[:5], b""], [BODY, b""]])
async def test_a_client_that_leaves_in_between_publishes_nothing(
    django: Application, news: Service, pieces: list[bytes]
) -> None:
    async with LocalSocket() as socket:
        await socket.ask("subscribe", stream="news")

        answer = await both(django, _with(pieces=pieces, leaves=True))

        assert answer == Answer()
        assert await socket.receive_nothing()


@pytest.mark.parametrize(
    ("service_ref", "stream_ref", "status"),
    [
        ("default", "missing", 404),
        ("default", "TO" + "0" * 32, 404),
        ("missing", "news", 404),
        ("IS" + "0" * 32, "news", 404),
        ("default", "a\0b", 404),
        ("a\0b", "news", 404),
        ("default", "é\u20ac\U0001f600", 404),
        ("default", "..", 404),
        ("default", ".", 404),
        ("default", "a\nb", 404),
        ("default", "?#%&;+ ", 404),
        ("default", "x" * 2000, 404),
    ],
    ids=ascii,
)
async def test_every_ref_gets_the_same_response(
    django: Application, news: Service, service_ref: str, stream_ref: str, status: int
) -> None:
    address = f"/v1/Services/{service_ref}/Streams/{stream_ref}/Messages"

    assert (await both(django, publication(address, BODY))).status == status


async def test_another_account_gets_the_same_404(
    django: Application, news: Service
) -> None:
    other = b64encode(f"{OTHER_ACCOUNT_SID}:{OTHER_AUTH_TOKEN}".encode())

    answer = await both(django, _with((b"authorization", b"Basic " + other)))

    assert answer.status == 404


async def test_a_spent_rate_gives_the_same_response(
    django: Application, news: Service
) -> None:
    with sync_settings(publish_rate=1 / 600, publish_window_seconds=600):
        await ask(django, publication(PATH, BODY))

        answer = await both(django, publication(PATH, BODY))

    assert answer.status == 429
    assert json.loads(answer.body)["code"] == 54009
    assert 590 <= int(answer.header(b"Retry-After")) <= 600


@strategies.composite
def requests(draw: strategies.DrawFn) -> Request:
    """Draw requests to the Stream, many of them good in part."""
    body = draw(BODIES)
    cuts = sorted(draw(strategies.lists(strategies.integers(0, 200), max_size=4)))
    request = _with(
        (b"content-type", draw(CONTENT_TYPES)),
        (b"authorization", draw(AUTHORIZATIONS)),
        (b"content-length", b""),
    )
    pieces = [body[start:end] for start, end in pairwise([0, *cuts, len(body)])]
    return replace(request, method=draw(METHODS), pieces=pieces)


BODIES = (
    strategies.binary(max_size=200)
    | strategies.text(max_size=60).map(lambda text: f"Data={quote(text)}".encode())
    | strategies.dictionaries(strategies.text(max_size=9), strategies.integers()).map(
        lambda data: urlencode({"Data": json.dumps(data)}).encode()
    )
)
CONTENT_TYPES = strategies.sampled_from(
    [FORM, b"application/json", b"multipart/form-data; boundary=x", b""]
) | strategies.binary(max_size=30)
METHODS = strategies.sampled_from(["POST", "POST", "POST", "OPTIONS", "GET", "PUT"])
AUTHORIZATIONS = strategies.sampled_from([BASIC, BASIC, BASIC, b""]) | (
    strategies.binary(max_size=30)
)


@each
@given(request_=requests())
async def test_every_request_gets_the_same_response(
    django: Application, news: Service, request_: Request
) -> None:
    await both(django, request_)


@each
@given(
    refs=strategies.tuples(
        strategies.text(max_size=40) | strategies.just("default"),
        strategies.text(max_size=40) | strategies.just("news"),
    ),
    end=strategies.sampled_from(["", "/", "//", "x"]),
)
async def test_every_path_gets_the_same_response(
    django: Application, news: Service, refs: tuple[str, str], end: str
) -> None:
    address = f"/v1/Services/{refs[0]}/Streams/{refs[1]}/Messages{end}"
    endpoint = PublishEndpoint(django)

    expected = await ask(django, publication(address, BODY))
    answer = await ask(endpoint, publication(address, BODY))

    assert answer.comparable() == expected.comparable()


@pytest.mark.parametrize("root_path", ["", "/mounted"])
@pytest.mark.parametrize("prefix", ["", "/api/sync"])
async def test_urls_work_wherever_the_project_and_the_server_put_them(
    django: Application,
    news: Service,
    settings: Settings,
    root_path: str,
    prefix: str,
) -> None:
    if prefix:
        settings.ROOT_URLCONF = __name__
    ours = publication(root_path + prefix + PATH, BODY, root_path=root_path)
    missing = publication(f"{root_path}{prefix}{PATH}".replace("news", "x"), BODY)

    assert (await both(django, ours)).status == 201
    answer = await both(django, replace(missing, root_path=root_path))
    assert b"/Services/default/Streams/x/Messages was not found" in answer.body


async def test_force_script_name_is_stripped_from_the_path(
    django: Application, news: Service, settings: Settings
) -> None:
    settings.FORCE_SCRIPT_NAME = "/sync"

    assert (await both(django, publication(f"/sync{PATH}", BODY))).status == 201
    assert (await both(django, publication(PATH, BODY))).status == 201


async def _handed_on(request: Request, **options: Any) -> bool:
    seen: list[object] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    await ask(PublishEndpoint(application, **options), request)
    return bool(seen)


@pytest.mark.parametrize(
    "request_",
    [
        publication("/v1/Services/default/Streams/news", BODY),
        publication("/v1/Services/default/Streams/news/Messages/TZ1", BODY),
        publication("/Messages", BODY),
        publication("/v2/Services/default/Streams/news/Messages", BODY),
        publication("/v1/Services/default/Documents/news/Messages", BODY),
        publication(PATH, BODY, query=b"\xff"),
    ],
    ids=lambda request: request.path,
)
async def test_other_requests_are_passed_on(news: Service, request_: Request) -> None:
    assert await _handed_on(request_)


async def test_requests_from_pages_are_left_to_the_sites_cors_policy(
    news: Service,
) -> None:
    assert await _handed_on(_with((b"origin", b"https://app.example")))


async def test_an_unknown_host_is_refused_by_django(
    django: Application, news: Service, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]

    assert not await _handed_on(_with())
    for host in (b"evil.example", b"a b", b"[::1", b"x" * 2000):
        request = _with((b"host", host))
        assert await _handed_on(request)
        assert (await ask(PublishEndpoint(django), request)).status == 400


async def test_requests_that_need_tls_are_redirected_by_django(
    django: Application, news: Service, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    django = get_asgi_application()

    plain = await ask(PublishEndpoint(django), _with())
    forwarded = await both(django, _with((b"x-forwarded-proto", b"https")))
    direct = await both(django, _with(scheme="https"))

    assert plain.status == 301
    assert forwarded.status == 201
    assert direct.status == 201
    assert forwarded.header(b"Strict-Transport-Security") == b"max-age=60"


async def test_a_project_chooses_which_requests_are_answered_here(
    news: Service,
) -> None:
    def is_internal(scope: Any) -> bool:
        return bool(scope["client"][0] == "10.0.0.1")

    assert await _handed_on(_with(), serves=is_internal)
    assert not await _handed_on(_with(), serves=lambda scope: True)


async def test_a_project_is_notified_of_each_response(news: Service) -> None:
    noted: list[tuple[str, int, float]] = []

    def note(scope: Any, status: int, seconds: float) -> None:
        noted.append((scope["path"], status, seconds))

    endpoint = PublishEndpoint(_unreachable, on_answer=note)
    await ask(endpoint, _with())
    await ask(endpoint, _with((b"authorization", b"")))

    assert [(path, status) for path, status, _ in noted] == [(PATH, 201), (PATH, 401)]
    assert all(0 <= seconds < 60 for *_, seconds in noted)


async def test_failures_are_logged_as_django_logs_them(
    django: Application, news: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await both(django, _with((b"authorization", b"")))

    levels = {one.levelname for one in caplog.records if one.name == "django.request"}
    assert levels == {"WARNING"}
    assert lines_of("django.request", caplog) == [f"Unauthorized: {PATH}"] * 3


async def _start() -> list[str]:
    """Run a server's lifespan from startup to shutdown; return the replies."""
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    told: list[str] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        told.append(event["type"])

    await lifespan({"type": "lifespan"}, receive, send)
    return told


WHOLE_LIFE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_process_receives_changes_from_its_start(news: Service) -> None:
    assert await _start() == WHOLE_LIFE

    assert get_hub().is_receiving
    assert get_hub().is_serving


async def test_a_process_starts_without_its_layer(
    news: Service, settings: Settings
) -> None:
    settings.CHANNEL_LAYERS = UNREACHABLE

    assert await _start() == WHOLE_LIFE

    assert not get_hub().is_receiving


async def test_the_first_request_starts_a_process_without_lifespan(
    django: Application, news: Service
) -> None:
    assert not get_hub().is_receiving

    served = asyncio.Event()
    hooks.serving.append(served.set)
    try:
        await ask(PublishEndpoint(django), Request(path="/v1", method="GET"))
        await asyncio.wait_for(served.wait(), SECONDS)
    finally:
        hooks.serving.remove(served.set)

    assert get_hub().is_receiving


async def test_a_silent_redis_is_reported_in_time(
    django: Application, news: Service
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"redis://127.0.0.1:{port}"
    with sync_settings(redis_url=url, broadcast_timeout_seconds=0.2):
        answer = await ask(PublishEndpoint(django), _with())
    await until(lambda: writers)
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()

    assert (answer.status, json.loads(answer.body)["code"]) == (503, 20503)


async def test_an_unreachable_layer_gives_the_same_response(
    django: Application, news: Service, settings: Settings
) -> None:
    settings.CHANNEL_LAYERS = UNREACHABLE

    answer = await both(django, _with())

    assert (answer.status, json.loads(answer.body)["code"]) == (503, 20503)


UNREADABLE_TYPES = [b"x; a*=bogus''b", b"x; a*=b; a*0=c"]
"""Types at which Django raises before it calls a view; the second one, in Python."""


@pytest.mark.parametrize("kind", UNREADABLE_TYPES)
async def test_a_type_that_django_cannot_parse_is_refused_and_reported(
    news: Service, kind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = PublishEndpoint(_unreachable)
    known = await ask(endpoint, _with((b"content-type", kind)))
    stranger = _with((b"content-type", kind), (b"authorization", b""))
    unknown = await ask(endpoint, stranger)

    assert json.loads(known.body)["code"] == 20001
    assert (known.status, unknown.status) == (400, 401)
    words = [f"Bad Request: {PATH}", f"Unauthorized: {PATH}"]
    assert lines_of("django.request", caplog) == words


@pytest.mark.parametrize("kind", UNREADABLE_TYPES)
async def test_a_bounded_django_refuses_a_type_that_it_cannot_parse(
    django: Application, kind: bytes
) -> None:
    request = Request(
        path="/v1/Services", method="GET", headers=[(b"content-type", kind)]
    )
    answer = await ask(BoundedRequests(django), request)

    assert (answer.status, json.loads(answer.body)["code"]) == (400, 20001)


async def test_a_part_of_a_form_that_python_cannot_parse_is_refused(
    news: Service,
) -> None:
    part = b"--b\r\nContent-Disposition: form-data; a*=b; a*0=c\r\n\r\n1\r\n--b--\r\n"
    request = _with((b"content-type", b"multipart/form-data; boundary=b"), body=part)

    assert (await ask(PublishEndpoint(_unreachable), request)).status == 400
