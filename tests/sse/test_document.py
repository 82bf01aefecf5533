"""docs/wire-sse.md, executed: its view and its curl; its table names every event."""

import re
import signal
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.test import AsyncRequestFactory

from sync_streams.connections.registry import connections
from sync_streams.sse import encoder
from tests.clients.rest import publish
from tests.documents import ROOT, code_block, code_blocks, executed
from tests.programs import DemoSite, Program
from tests.sse.conftest import Site

DOCUMENT = "docs/wire-sse.md"


async def test_the_view_answers_users_with_their_own_stream(site: Site) -> None:
    view = executed("wire-sse", "event_stream")["orders"]
    site.streams["board"].unique_name = "orders-7"
    await site.streams["board"].asave()

    async def answer(user: Any) -> Any:
        async def auser() -> Any:
            return user

        request = AsyncRequestFactory().get("/orders/events/")
        request.auser = auser
        return await view(request)

    allowed = await answer(User(pk=7, username="alice"))
    refused = await answer(AnonymousUser())

    assert allowed["Content-Type"] == "text/event-stream"
    assert (refused.status_code, (await answer(User(pk=8))).status_code) == (403, 403)
    await _end(allowed)


async def _end(response: Any) -> None:
    """Read a response and leave like a client; it is a connection until then."""
    content = response._iterator
    await anext(content)
    await content.aclose()
    assert not len(connections)


def test_curl_prints_events(embedded: DemoSite) -> None:
    block = code_block(DOCUMENT, "sh", "curl").replace(
        ".data/", f"{embedded.data_dir}/"
    )
    block = block.replace("http://127.0.0.1:8000", embedded.base_url)
    command = block.replace("curl -N", "exec curl --silent --include -N")
    with Program("bash", "-euc", command, ready="text/event-stream") as curl:
        publish(embedded, "demo", {"text": "Hello"})
        curl.wait_for('"data":{"text":"Hello"}')
        curl.stop(signal.SIGTERM)


def test_every_event_is_in_the_table() -> None:
    source = (ROOT / encoder.__file__).read_text()
    names = set(re.findall(r'(?:tell|write)\("(\w+)"', source))

    table = set(re.findall(r"^\| `(\w+)`", (ROOT / DOCUMENT).read_text(), re.MULTILINE))
    assert names <= table


def test_every_block_is_executed() -> None:
    # The one in JavaScript is executed by test_tags, in a browser.
    counts = {"python": 1, "sh": 1, "js": 1}

    assert {name: len(code_blocks(DOCUMENT, name)) for name in counts} == counts
