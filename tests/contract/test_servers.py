"""Publishing over HTTP on each server: the same responses from each parser."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from project.supervision import Process, end, has_started
from tests.faults.worker import ACCOUNT, provision
from tests.programs import ROOT, free_port, site_environ
from tests.zygote import Forked

SECONDS = 30
START_SECONDS = 60
FORM = "application/x-www-form-urlencoded"
BODY = b"Data=%7B%22n%22%3A1%7D"
UVICORN = ("uvicorn", "project.asgi:application", "--port", "{port}")
COMMANDS = {
    "make run": ("project", "serve"),
    "uvicorn": (*UVICORN, "--lifespan", "off"),
    "uvicorn, own classes": (
        *(*UVICORN, "--lifespan", "on", "--no-access-log"),
        *("--http", "sync_streams.uvicorn:BoundedHttpProtocol"),
        *("--ws", "sync_streams.uvicorn:FramePathProtocol"),
    ),
    "daphne, own classes": (
        *("sync_streams.daphne", "-p", "{port}"),
        "project.asgi:application",
    ),
    "daphne": ("daphne", "-p", "{port}", "project.asgi:application"),
    "granian": (
        *("granian", "--interface", "asginl", "--port", "{port}"),
        "project.asgi:application",
    ),
    "hypercorn": (
        *("hypercorn", "--bind", "127.0.0.1:{port}", "--access-logfile", "-"),
        "project.asgi:application",
    ),
}
SPAWNING = {"granian", "hypercorn"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> int:
        """Twilio's code of an error; every body is JSON."""
        assert self.headers["content-type"].partition(";")[0] == "application/json"
        return int(json.loads(self.body).get("code", 0))


class Site:
    """A running server, with the simplest possible client."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.port = name, port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), SECONDS)

    def ask(self, data: bytes, *, piece_bytes: int = 1_000_000) -> Answer:
        with self.connect() as connection:
            return ask(connection, data, piece_bytes=piece_bytes)


def ask(
    connection: socket.socket, data: bytes, *, piece_bytes: int = 1_000_000
) -> Answer:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(data), piece_bytes):
        connection.sendall(data[start : start + piece_bytes])
    response = HTTPResponse(connection, method=data.split(b" ")[0].decode())
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def request(
    body: bytes = BODY,
    *headers: str,
    method: str = "POST",
    content_type: str = FORM,
    stream: str = "demo",
    authorization: str = ACCOUNT.basic,
) -> bytes:
    length = [] if "Transfer-Encoding: chunked" in headers else [len(body)]
    lines = [
        f"{method} /v1/Services/default/Streams/{stream}/Messages HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: {authorization}",
        f"Content-Type: {content_type}",
        *(f"Content-Length: {size}" for size in length),
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body: bytes) -> bytes:
    """Return a body in chunks of one byte."""
    chunks = [b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body))]
    return b"".join([*chunks, b"0\r\n\r\n"])


def part(boundary: str) -> bytes:
    """Return a form of one field, as Twilio's older Node library sends it."""
    head = 'Content-Disposition: form-data; name="Data"'
    return f'--{boundary}\r\n{head}\r\n\r\n{{"n":1}}\r\n--{boundary}--\r\n'.encode()


@pytest.fixture(scope="module", params=COMMANDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    port = free_port()
    data_dir = tmp_path_factory.mktemp("site")
    data_dir.chmod(0o700)
    environ = site_environ(data_dir, PORT=str(port), **ACCOUNT.environ)
    environ["PYTHONPATH"] = str(ROOT)
    provision(data_dir)
    words = [word.format(port=port) for word in COMMANDS[request.param]]
    with (data_dir / "output").open("wb") as output:
        process = start(words, environ, output.fileno())
    try:
        if not has_started(process, port, within=START_SECONDS):
            raise AssertionError((data_dir / "output").read_text())
        yield Site(request.param, port)
    finally:
        end(process, within=SECONDS)


def start(words: list[str], environ: dict[str, str], output: int) -> Process:
    """Start a server; one that spawns processes is started as a new process."""
    if words[0] not in SPAWNING:
        return Forked("-m", *words, environ=environ, stdout=output, stderr=output)
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=output, stderr=output
    )


def test_a_message_is_published(site: Site) -> None:
    with site.connect() as connection:
        answers = [ask(connection, request()) for _ in range(3)]

    for answer in answers:
        assert answer.status == 201
        assert json.loads(answer.body)["data"] == {"n": 1}
        assert answer.headers["twilio-request-id"].startswith("RQ")
        assert answer.headers["cache-control"] == "no-store, private"


@pytest.mark.parametrize("piece_bytes", [1, 7])
def test_a_body_in_chunks_of_one_byte_is_published(
    site: Site, piece_bytes: int
) -> None:
    data = request(chunked(BODY), "Transfer-Encoding: chunked")

    assert site.ask(data, piece_bytes=piece_bytes).status == 201


ERRORS: dict[str, tuple[Callable[[], bytes], int, int]] = {
    "no such method": (lambda: request(b"", method="GET"), 405, 20004),
    "no credentials": (lambda: request(authorization="Basic x"), 401, 20003),
    "no such Stream": (lambda: request(stream="missing"), 404, 20404),
    "no data": (lambda: request(b""), 400, 54251),
    "no object": (lambda: request(b"Data=1"), 400, 54008),
    "another type": (lambda: request(content_type="text/plain"), 400, 20001),
    "too large a body": (lambda: request(b"Data=" + b"x" * 300_000), 413, 54006),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_reported_in_json(site: Site, case: str) -> None:
    data, status, code = ERRORS[case]

    answer = site.ask(data())

    assert (answer.status, answer.code) == (status, code)


def test_options_name_the_methods(site: Site) -> None:
    answer = site.ask(request(b"", method="OPTIONS"))

    assert (answer.status, answer.headers["allow"]) == (204, "POST, OPTIONS")


def test_a_multipart_form_is_published(site: Site) -> None:
    data = request(part("x"), content_type="multipart/form-data; boundary=x")

    assert site.ask(data).status == 201


def test_a_multipart_form_without_a_boundary_is_refused(site: Site) -> None:
    answer = site.ask(request(content_type="multipart/form-data"))

    assert answer.status == 400
    if site.name == "daphne":
        # Twisted, below Daphne, reads forms before the application can.
        assert answer.body == b""
    else:
        assert answer.code == 20001


def test_a_client_that_leaves_in_between_affects_no_one_else(site: Site) -> None:
    whole = request()
    for at in (40, len(whole) - len(BODY), len(whole) - 1):
        with site.connect() as connection:
            connection.sendall(whole[:at])

    assert site.ask(whole).status == 201
