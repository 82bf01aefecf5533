"""A host project's pages, which use the template tags, with their scripts and views."""

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import engines
from django.urls import include, path
from django.utils.html import format_html

from sync_streams.rest.tokens import TokenView
from sync_streams.routing import websocket_urlpatterns
from sync_streams.sse import event_stream, session_events
from tests.documents import code_block, executed
from tests.js.tools import modules

NONCE = "bm9uY2U="
POLICY = f"script-src 'nonce-{NONCE}'; connect-src 'self'"
SCRIPTS = {
    "htmx2": ["htmx.org/dist/htmx.js", "htmx-ext-sse/dist/sse.js"],
    "htmx4": ["htmx-4/dist/htmx.js", "htmx-4/dist/ext/hx-sse.js"],
}

HEAD = """{% load sync_streams %}<title>page</title><link rel="icon" href="data:,">
{% for name in scripts %}
<script src="/scripts/{{ name }}" nonce="{{ nonce }}"></script>
{% endfor %}"""

CLIENT = """<p id="out">-</p>
{% sync_streams view nonce=nonce %}
<script type="module" nonce="{{ nonce }}">
  const show = (text) => (document.getElementById("out").textContent = text);
  const board = syncStreams.subscribe("board");
  board.addEventListener("subscribed", () => show("subscribed"));
  board.addEventListener("message", ({ detail }) => show(detail.data.text));
</script>"""

HTMX = {
    "htmx2": """
<ul {% stream_events "board" view="rendered" %} sse-swap="message"
    hx-swap="beforeend"></ul>
<div {% stream_events "board" %}>
  <p hx-get="/part" hx-trigger="sse:message, sse:gap">-</p>
</div>""",
    "htmx4": """
<ul {% stream_events "board" view="rendered" htmx=4 %} hx-swap="beforeend">
</ul>
<div {% stream_events "board" htmx=4 %}>
  <p hx-get="/part" hx-trigger="message from:body" hx-target="this">-</p>
</div>""",
}


def _answer(request: HttpRequest, source: str, **more: object) -> HttpResponse:
    template = engines["django"].from_string(HEAD + source)
    context: dict[str, Any] = {"nonce": NONCE, **more}
    headers = {"Content-Security-Policy": POLICY}
    return HttpResponse(template.render(context, request), headers=headers)


def client(request: HttpRequest, view: str = "sync-token") -> HttpResponse:
    return _answer(request, CLIENT, view=view)


def htmx(request: HttpRequest, version: str) -> HttpResponse:
    return _answer(request, HTMX[version], scripts=SCRIPTS[version])


def guide(request: HttpRequest) -> HttpResponse:
    """What docs/browser-client.md says, as it is."""
    source = code_block("docs/browser-client.md", "html", "{% sync_streams %}")
    return HttpResponse(engines["django"].from_string(source).render({}, request))


def part(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fetched")


def script(request: HttpRequest, name: str) -> HttpResponse:
    file = modules() / name
    return HttpResponse(file.read_bytes(), content_type="text/javascript")


guarded = login_required(TokenView.as_view(), login_url="part")


def item(data: Any) -> str:
    return format_html("<li>{}</li>", data["text"])


async def rendered(request: HttpRequest, stream: str) -> HttpResponseBase:
    return await event_stream(request, stream, render=item)


urlpatterns = [
    path("client", client),
    path("client/<str:view>", client),
    path("guide", guide),
    path("page/<str:version>", htmx),
    path("part", part, name="part"),
    path("scripts/<path:name>", script),
    path("rendered/<str:stream>", rendered, name="rendered"),
    path("orders/events/", executed("wire-sse", "event_stream")["orders"]),
    path("events/<path:stream>/", session_events, name="stream-events"),
    path("token/", TokenView.as_view(), name="sync-token"),
    path("guarded/", guarded, name="guarded"),
    path("", include("sync_streams.urls")),
]

application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(ASGIHandler()),
        "websocket": URLRouter(websocket_urlpatterns),
    }
)
