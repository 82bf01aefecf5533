"""How many lines an order's page needs to be live, by each method."""

import re
from collections.abc import Callable

import pytest

from tests.documents import code_block, code_blocks
from tests.site.project import ORDERS

GUIDE = "docs/server-sent-events.md"
MOST = 25

LIVE = re.compile(
    r"(?i)stream|publish_on_commit|@property|order-\{|sync-token"
    "|return JsonResponse|Accept"
)
"""Text in lines of the tutorial's Python that the live page needs."""

ONLY_CLIENT = re.compile(r"(?i)token|return JsonResponse|Accept")
"""The part of that which only the client library needs: tokens, and the state."""


def code(text: str) -> list[str]:
    """Return the lines that are neither empty nor a comment."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "<!--"))]


def on_the_server() -> list[str]:
    lines: list[str] = []
    for block in code_blocks(ORDERS, "python"):
        is_rules = block.startswith("# shop/permissions.py")
        lines += [line for line in code(block) if is_rules or LIVE.search(line)]
    return lines


def between(text: str, start: str, end: str) -> list[str]:
    return code(start + text.partition(start)[2].partition(end)[0] + end)


def with_the_client() -> list[str]:
    page = code_block(ORDERS, "html", "{% sync_streams %}")
    script, _, form = page.partition('  document.getElementById("form")')
    assert "submit" in form  # which also exists without a live page
    return on_the_server() + between(script, "{% sync_streams %}", "</script>")


def with_event_source() -> list[str]:
    page = code_block(GUIDE, "html", "EventSource")
    return for_events(between(page, "<script>", "</script>"))


def with_htmx() -> list[str]:
    page = code_block(GUIDE, "html", "hx-get").partition("<ul")[0]
    live = re.compile("<script|stream|hx-")
    return for_events([line for line in code(page) if live.search(line)])


def for_events(page: list[str]) -> list[str]:
    """Return the lines of a page that reads events, with those on the server."""
    urls = code_block(GUIDE, "python", "session_events")
    view = [line for line in code(urls) if "session_events" in line]
    server = [line for line in on_the_server() if not ONLY_CLIENT.search(line)]
    return server + view + page


@pytest.mark.parametrize("way", [with_the_client, with_event_source, with_htmx])
def test_a_live_page_takes_few_extra_lines(way: Callable[[], list[str]]) -> None:
    lines = way()

    assert any("publish_on_commit(" in line for line in lines)
    assert len(lines) <= MOST, "\n".join(lines)
