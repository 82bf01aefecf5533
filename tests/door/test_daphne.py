"""Daphne's own time limits and errors, as this package's server class changes them."""

import os
from collections.abc import Iterator

import pytest

from tests.clients.raw import HttpConnection, RawSocket, frame
from tests.door.daphne_site import PARTS
from tests.programs import PythonProgram, free_port

GOING_AWAY = b"\x03\xe9"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a server that limits a response to two seconds."""
    number = free_port()
    command = ["-m", "sync_streams.daphne", "-t", "2", "-p", str(number)]
    application = "tests.door.daphne_site:application"
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ready = "istening on TCP"
    with PythonProgram(*command, application, ready=ready, environ=environ) as program:
        yield number
        output = program.output
    assert output.count("Traceback") == output.count("ValueError: on purpose")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (b"/v1/S\xc3\xa9", b"x: y"),
        (b"/v1?x=\xff", b"x: y"),
        (b"/v1", b"{: y"),
        (b"/v1", b"x: a\x0bb"),
    ],
    ids=["path", "query", "name", "value"],
)
async def test_what_daphne_refuses_is_refused_in_json(
    port: int, target: bytes, line: bytes
) -> None:
    async with HttpConnection(port) as client:
        client.send(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % (target, line))
        assert await client.refusal() == 400


async def test_faults_are_reported_in_json_and_cut_off_a_response_that_has_begun(
    port: int,
) -> None:
    async with HttpConnection(port) as client, HttpConnection(port) as next_client:
        client.request(target="/late")
        await client.until(b"begun\r\n")
        with pytest.raises(ConnectionError):
            await client.end()

        next_client.request(target="/fault")
        assert await next_client.refusal() == 500


async def test_an_event_stream_has_no_time_limit_as_other_responses_have(
    port: int,
) -> None:
    async with HttpConnection(port) as reader, HttpConnection(port) as client:
        reader.request(target="/events")
        await reader.until(b"data: first\n\n\r\n")
        client.request(target="/slow")
        assert await client.refusal() == 503
        async with HttpConnection(port) as other:
            other.request(target="/go")
            await other.until(b"\r\n\r\n")

        await reader.until(b"data: second\n\n\r\n")


async def test_a_response_that_is_not_read_waits_and_is_cut_off(port: int) -> None:
    async with HttpConnection(port) as reader, HttpConnection(port) as client:
        reader.request(target="/large")
        client.request(target="/left")
        status, parts = await client.answer()

    assert status == 200
    assert 0 < int(parts) < PARTS


async def test_a_socket_whose_client_closes_and_reads_nothing_is_cut_off(
    port: int,
) -> None:
    async with RawSocket(port) as socket, HttpConnection(port) as client:
        socket.send(frame(8, GOING_AWAY))
        client.request(target="/left")

        assert await client.answer() == (200, b"%4d" % PARTS)
