"""uvicorn's publish path: what it parses itself, without a visible difference."""

import asyncio
from collections.abc import AsyncIterator

import httptools
import pytest
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
from hypothesis import example, given, strategies
from pytest_django import Settings

from sync_streams.connections.bounds import MAX_HEADERS
from sync_streams.uvicorn import BoundedHttpProtocol
from sync_streams.uvicorn.publish_path import Head, read_head, split_request
from tests.clients.raw import HttpConnection, turns
from tests.contract.http import BASIC, BODY, FORM, PATH, raw, without_variation
from tests.logs import lines_of as logged_by
from tests.overrides import sync_settings
from tests.recorders import Endpoint
from tests.settings import ACCOUNT_SID
from tests.uvicorn_server import serving

SECONDS = 30


@pytest.fixture
def endpoint(news: None) -> Endpoint:
    return Endpoint(get_asgi_application())


OPTIONS = {"http": BoundedHttpProtocol, "access_log": False}


@pytest.fixture
async def port(endpoint: Endpoint) -> AsyncIterator[int]:
    application = ProtocolTypeRouter({"http": endpoint})
    async with serving(application, **OPTIONS) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[HttpConnection]:
    async with HttpConnection(port) as client:
        await client.ask(raw())
        await client.ask(raw())
        yield client


UNREADABLE = b"x; a*=bogus''b"
"""A type at which Django raises."""

REQUESTS = {
    "a Message": raw(),
    "kept alive": raw(b"Connection: keep-alive"),
    "behind a proxy": raw(b"X-Forwarded-Proto: https"),
    "no body": raw(body=b""),
    "no object": raw(body=b"Data=%5B%5D"),
    "too large": raw(body=b"Data=" + b"x" * 5000),
    "an escaped name": raw(path=PATH.replace(b"news", b"%6Eews")),
    "another path": raw(path=PATH.replace(b"/v1", b"/v2")),
    "two types": raw(b"Content-type:   text/plain \t"),
    "an unreadable type": raw().replace(FORM, UNREADABLE),
    "a stranger's": raw().replace(FORM, UNREADABLE).replace(BASIC, b"x"),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_response_is_the_same_on_every_path(
    client: HttpConnection, endpoint: Endpoint, request_: bytes
) -> None:
    whole = await client.ask(request_)
    in_pieces = await client.ask(request_[:9], request_[9:])

    assert lines_of(whole) == lines_of(in_pieces)


def lines_of(answer: bytes) -> list[bytes]:
    lines = sorted(answer.replace(b"\r\n\r\n", b"\r\n").split(b"\r\n"))
    lines = [line for line in lines if not line.startswith(b"date: ")]
    return [without_variation(line.rpartition(b": ")[2]) for line in lines]


async def test_a_plain_publish_needs_no_asgi_call(
    client: HttpConnection, endpoint: Endpoint
) -> None:
    endpoint.calls = 0

    assert b" 201 " in await client.ask(raw())
    assert b" 400 " in await client.ask(raw(body=b"Data=%5B%5D"))
    assert endpoint.calls == 0
    assert b" 404 " in await client.ask(raw(path=PATH.replace(b"news", b"missing")))
    assert endpoint.calls == 1


UNUSUAL = {
    "another method": [raw(method=b"GET")],
    "a question first": [raw(b"Expect: 100-continue")],
    "an upgrade": [raw(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings")],
    "the last one": [raw(b"Connection: close")],
    "a query": [raw(path=PATH + b"?x=1")],
    "a header twice": [raw(b"Authorization: x")],
    "an old version": [raw().replace(b"HTTP/1.1", b"HTTP/1.0")],
    "two pieces": [raw()[:-1], raw()[-1:]],
    "a long header": [raw(b"X: " + b"x" * 5000)],
}


@pytest.mark.parametrize("pieces", UNUSUAL.values(), ids=UNUSUAL)
async def test_an_unusual_publish_is_an_asgi_call(
    client: HttpConnection, endpoint: Endpoint, pieces: list[bytes]
) -> None:
    endpoint.calls = 0

    for piece in pieces:
        client.send(piece)
        await turns()
    await client.response()

    assert endpoint.calls == 1


async def test_the_next_head_is_parsed_again(client: HttpConnection) -> None:
    other = b"Authorization: " + BASIC.swapcase()

    statuses = [
        int((await client.ask(request)).split()[1])
        for request in (
            raw(),
            raw(body=b"Data=%7B%7D"),
            raw().replace(b"Authorization: " + BASIC, other),
            raw(),
        )
    ]

    assert statuses == [201, 201, 401, 201]


async def test_credentials_are_verified_for_each_request(
    client: HttpConnection,
) -> None:
    changed = {ACCOUNT_SID: {"AUTH_TOKEN": "another-auth-token-of-32-characters"}}

    assert b" 201 " in await client.ask(raw())
    with sync_settings(accounts=changed):
        assert b" 401 " in await client.ask(raw())
    assert b" 201 " in await client.ask(raw())


async def test_a_connection_that_falls_silent_is_closed(endpoint: Endpoint) -> None:
    serve = serving(endpoint, timeout_keep_alive=1, **OPTIONS)
    async with serve as port, HttpConnection(port) as client:
        for request in (raw(), raw(), raw(method=b"GET"), raw()):
            await client.ask(request)

        assert await client.end() == b""


async def test_a_connection_is_kept_while_it_publishes(endpoint: Endpoint) -> None:
    serve = serving(endpoint, timeout_keep_alive=1, **OPTIONS)
    async with serve as port, HttpConnection(port) as client:
        ends = asyncio.get_running_loop().time() + 2.5

        while asyncio.get_running_loop().time() < ends:
            assert b" 201 " in await client.ask(raw())


async def test_the_bounds_of_a_request_hold_on_the_publish_path(port: int) -> None:
    many = raw(*[b"%x:" % number for number in range(MAX_HEADERS - 4)])
    too_many = raw(*[b"%x:" % number for number in range(MAX_HEADERS - 3)])
    statuses = []
    with sync_settings(max_body_bytes=len(BODY)):
        for request in (raw(), raw(), many, too_many, raw(body=BODY + b"+")):
            async with HttpConnection(port) as client:
                answer = await client.ask(request)
                statuses.append(int(answer.split()[1]))

    assert statuses == [201, 201, 201, 431, 413]


def behind_proxy(client: bytes, *, password: bytes = BASIC) -> bytes:
    lines = b"X-Forwarded-For: " + client, b"X-Forwarded-Proto: https"
    return raw(*lines).replace(BASIC, password)


async def test_failed_logins_are_counted_by_the_address_that_a_proxy_forwards(
    news: None, settings: Settings
) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    endpoint = Endpoint(get_asgi_application())
    async with serving(endpoint, **OPTIONS) as port, HttpConnection(port) as client:
        for _ in range(2):  # until the Service is cached
            await client.ask(raw())
        with sync_settings(max_failed_logins_per_minute=2):
            wrong = behind_proxy(b"203.0.113.1", password=b"Basic x")
            refused = [await client.ask(wrong) for _ in range(3)]
            endpoint.calls = 0
            served = await client.ask(behind_proxy(b"203.0.113.2"))

    assert [answer[9:12] for answer in refused] == [b"401", b"401", b"429"]
    assert served[9:12] == b"201"
    assert b"strict-transport-security: max-age=60" in served
    assert endpoint.calls == 0


async def test_a_fault_of_the_projects_own_code_costs_no_response(
    news: None, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault of the project's")

    endpoint = Endpoint(get_asgi_application(), on_answer=fail)
    async with serving(endpoint, **OPTIONS) as port, HttpConnection(port) as client:
        client.send(raw() * 2)
        both = [await client.response() for _ in range(2)]
        both.append(await client.ask(raw()))

    assert [answer[:12] for answer in both] == [b"HTTP/1.1 201"] * 3
    assert len(logged_by("sync_streams.asgi", caplog)) == 3


async def test_pipelined_requests_are_answered_in_order(
    client: HttpConnection, endpoint: Endpoint
) -> None:
    missing = raw(path=PATH.replace(b"news", b"missing"))
    requests = [raw(), missing, raw(body=b""), missing, raw()]

    client.send(b"".join(requests))
    await turns()
    client.send(raw(path=PATH.replace(b"news", b"other")))
    answers = [await client.response() for _ in range(6)]

    statuses = [int(answer.split()[1]) for answer in answers]
    assert statuses == [201, 404, 400, 404, 201, 404]
    assert b"/Streams/other/" in answers[-1]


async def test_one_request_in_pieces_of_one_byte_is_answered(
    client: HttpConnection,
) -> None:
    request = raw()

    for start in range(len(request)):
        client.send(request[start : start + 1])
        await asyncio.sleep(0)

    assert b" 201 " in await client.response()


class Parser:
    """The result of uvicorn's parser for the same bytes."""

    def __init__(self) -> None:
        self.target = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


NAMES = strategies.sampled_from(
    [b"X", b"Host", b"Connection", b"Content-Length", b"Transfer-Encoding", b"Upgrade"]
) | strategies.binary(min_size=1, max_size=4)
VALUES = strategies.sampled_from(
    [b"keep-alive", b"close", b"3", b"0", b"chunked", b"h2c", b" a \t", b"\xff", b""]
) | strategies.binary(max_size=6)
LINES = strategies.tuples(
    NAMES, strategies.sampled_from([b":", b": ", b" :"]), VALUES
).map(b"".join)
TARGETS = strategies.sampled_from([PATH, b"/", b"//x", b"/a?b", b"*"]) | (
    strategies.binary(max_size=6).map(lambda tail: b"/" + tail)
)
ENDS = strategies.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n "])


@strategies.composite
def heads(draw: strategies.DrawFn) -> bytes:
    """Draw requests that are nearly plain."""
    body = draw(strategies.binary(max_size=4))
    lines = [b"POST %b HTTP/1.1" % draw(TARGETS)]
    lines += draw(strategies.lists(LINES, max_size=3))
    lines.append(b"Content-Length: %d" % len(body))
    head = b"".join(line + draw(ENDS) for line in lines)
    return head + b"\r\n" + body


@given(heads())
@example(raw())
@example(raw(b"Content-Length: 3"))
@example(raw(b"Content-Length : 3"))
@example(raw(b"X: \ta \t"))
@example(raw(b"Connection: keep-alive "))
@example(raw().replace(b"Content-Length: ", b"Content-Length: +"))
@example(raw().replace(b"Content-Length: ", b"Content-Length: 0"))
def test_both_parsers_read_the_same(data: bytes) -> None:
    head, body = split_request(data)
    read = read_head(head)
    if read is None or read.body_bytes != len(body):
        return
    parser = Parser()
    parser.parser.feed_data(data)

    assert parser.is_complete
    assert Head(parser.target, parser.headers, len(parser.body)) == read
    assert parser.body == body
    assert parser.parser.get_method() == b"POST"
    assert parser.parser.should_keep_alive()
    assert not parser.parser.should_upgrade()


@given(strategies.binary(max_size=300))
def test_any_bytes_are_read_or_left(data: bytes) -> None:
    assert read_head(split_request(data)[0]) is None or data.startswith(b"POST /")


def test_an_ordinary_request_is_read() -> None:
    head, body = split_request(raw())
    read = read_head(head)

    assert read is not None
    assert (read.target, body, read.body_bytes) == (PATH, BODY, len(BODY))
    assert (b"authorization", BASIC) in read.headers
