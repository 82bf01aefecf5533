"""Event streams over HTTP/1.0, 1.1 and 2, and behind nginx, as curl reads them."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypercorn
import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from hypercorn.asyncio import serve

from sync_streams import operations
from sync_streams.connections.registry import connections
from sync_streams.publishing import apublish
from tests.clients.sse import WAIT_SECONDS
from tests.programs import cannot_have, free_port
from tests.settings import ACCOUNT_SID, AUTH_TOKEN
from tests.sse.conftest import CLASSES
from tests.uvicorn_server import serving
from tests.waiting import until

NGINX = """
daemon off; pid {folder}/pid; error_log stderr notice;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} {listen};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; {location} }}
  }}
}}
"""
PATH = "/v1/Services/default/Streams/board/Events"
FIRST_VERSIONS = {
    "--http1.1": b"HTTP/1.1 200",
    "--http2-prior-knowledge": b"HTTP/2 200",
}


@pytest.fixture(params=CLASSES)
async def upstream(
    request: pytest.FixtureRequest, transactional_db: None
) -> AsyncIterator[int]:
    """The port of a server that has a Stream."""
    await provide()
    async with serving(ASGIHandler(), http=CLASSES[request.param]) as port:
        yield port


@sync_to_async
def provide() -> None:
    service = operations.get_service(ACCOUNT_SID, "default")
    operations.create_stream(service, unique_name="board")


@asynccontextmanager
async def nginx(folder: Path, upstream: int, **conf: str) -> AsyncIterator[int]:
    """Run nginx in front of a server; yields its port."""
    port = free_port()
    text = NGINX.format(folder=folder, port=port, upstream=upstream, **conf)
    (folder / "nginx.conf").write_text(text)
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    command = [program or cannot_have("nginx"), "-p", str(folder), "-e", "stderr"]
    process = await asyncio.create_subprocess_exec(
        *(*command, "-c", str(folder / "nginx.conf")), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_SECONDS):
        while b"start worker process " not in await process.stderr.readline():
            assert process.returncode is None
    yield port
    process.terminate()
    await process.communicate()


@asynccontextmanager
async def curl(port: int, *options: str) -> AsyncIterator[asyncio.StreamReader]:
    """Read the events with curl; yields what it prints, heads included."""
    user = f"{ACCOUNT_SID}:{AUTH_TOKEN}"
    process = await asyncio.create_subprocess_exec(
        *("curl", "-siN", "-u", user, *options, f"http://127.0.0.1:{port}{PATH}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    yield process.stdout
    if process.returncode is None:
        process.kill()
    await process.wait()


async def assert_events_come_one_by_one(output: asyncio.StreamReader) -> bytes:
    """Publish two Messages, the second after the first has come; return the head."""
    async with asyncio.timeout(WAIT_SECONDS):
        head = await output.readuntil(b"\r\n\r\n")
        await output.readuntil(b"retry: ")
        for number in (1, 2):
            await apublish("board", {"n": number})
            await output.readuntil(b'"data":{"n":%d}' % number)
    return head


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("version", FIRST_VERSIONS)
async def test_nginx_passes_events_on_as_they_come(
    upstream: int, tmp_path: Path, buffering: str, version: str
) -> None:
    location = f"proxy_buffering {buffering}; proxy_http_version 1.1;"
    listen = "http2" if "2" in version else ""
    conf = {"location": location, "listen": listen}
    async with (
        nginx(tmp_path, upstream, **conf) as port,
        curl(port, version) as output,
    ):
        head = await assert_events_come_one_by_one(output)

    assert head.startswith(FIRST_VERSIONS[version])


async def test_nginx_that_asks_with_http_1_0_passes_them_on_too(
    upstream: int, tmp_path: Path
) -> None:
    conf = {"location": "", "listen": ""}
    async with nginx(tmp_path, upstream, **conf) as port, curl(port) as output:
        await assert_events_come_one_by_one(output)


async def test_a_client_that_leaves_nginx_is_forgotten(
    upstream: int, tmp_path: Path
) -> None:
    conf = {"location": "proxy_http_version 1.1;", "listen": ""}
    async with nginx(tmp_path, upstream, **conf) as port:
        async with curl(port) as output:
            await assert_events_come_one_by_one(output)
            assert len(connections) == 1
        await until(lambda: not len(connections), WAIT_SECONDS)


async def test_events_come_over_http_2_and_end_with_their_stream(
    transactional_db: None,
) -> None:
    await provide()
    config = hypercorn.Config()
    port = free_port()
    config.bind = [f"127.0.0.1:{port}"]
    stop = asyncio.Event()
    application: Any = ASGIHandler()
    serves = asyncio.ensure_future(
        serve(application, config, shutdown_trigger=stop.wait)
    )
    options = ("--http2-prior-knowledge", "--retry-connrefused", "--retry", "5")
    async with curl(port, *options) as output:
        head = await assert_events_come_one_by_one(output)
        service = await sync_to_async(operations.get_service)(ACCOUNT_SID, "default")
        await sync_to_async(operations.remove_stream)(service, "board")
        async with asyncio.timeout(WAIT_SECONDS):
            rest = await output.read()
    stop.set()
    await asyncio.wait_for(serves, WAIT_SECONDS)

    assert head.startswith(b"HTTP/2 200")
    assert b"x-accel-buffering: no" in head
    assert b"event: removed" in rest
    assert len(connections) == 0
