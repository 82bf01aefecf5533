"""Snippets: code to paste for the resource that is shown.

They contain the account SID but no secrets, which come from the reader's environment.
"""

from dataclasses import dataclass

from django.http import HttpRequest
from django.templatetags.static import static

from sync_streams.conf import get_settings
from sync_streams.models import Service, Stream
from sync_streams.values.mounts import services_path, socket_path

_PUBLISH_CURL = """\
curl -u "{account}:$SYNC_AUTH_TOKEN" \\
  {url}/v1/Services/{service}/Streams/{stream}/Messages \\
  --data-urlencode 'Data={{"text": "Hello"}}'"""

_LIST_CURL = """\
curl -u "{account}:$SYNC_AUTH_TOKEN" {url}/v1/Services/{service}/Streams"""

_CLIENT = """\
import os
from twilio.rest import Client

client = Client("{account}", os.environ["SYNC_AUTH_TOKEN"])
client.sync.base_url = "{url}"
service = client.sync.v1.services("{service}")
"""

_PUBLISH_PYTHON = (
    _CLIENT
    + """\
service.sync_streams("{stream}").stream_messages.create(data={{"text": "Hello"}})"""
)

_CREATE_PYTHON = (
    _CLIENT
    + """\
print(service.sync_streams.create(unique_name="news").sid)"""
)

_SUBSCRIBE_JS = """\
import {{ SyncStreams }} from "{script}";

// Your application makes the token: issue_token(identity, "{service}").
const token = async () => {{
  const answer = await fetch("/token", {{ method: "POST" }});
  return (await answer.json()).token;
}};
const client = new SyncStreams({{ url: "{socket}", token }});
client.subscribe("{stream}"{options}).addEventListener("message", ({{ detail }}) => {{
  console.log(detail.data);
}});"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code in one language."""

    language: str
    code: str


def snippets(request: HttpRequest, resource: Service | Stream) -> list[Snippet]:
    """Return code that publishes and subscribes to the resource."""
    origin = get_settings().public_url or request.build_absolute_uri("/")
    origin = origin.rstrip("/")
    url = origin + services_path().removesuffix("/v1/Services")
    is_stream = isinstance(resource, Stream)
    service_sid = resource.service_id if isinstance(resource, Stream) else resource.sid
    words = {
        "account": resource.account_sid,
        "service": service_sid,
        "stream": resource.sid if is_stream else "news",
        "options": "" if is_stream else ', { mode: "open_or_create" }',
        "url": url,
        "socket": origin.replace("http", "ws", 1) + socket_path(),
        "script": request.build_absolute_uri(static("sync_streams/sync-streams.js")),
    }
    curl = _PUBLISH_CURL if is_stream else _LIST_CURL
    python = _PUBLISH_PYTHON if is_stream else _CREATE_PYTHON
    return [
        Snippet("curl", curl.format(**words)),
        Snippet("Python", python.format(**words)),
        Snippet("JavaScript", _SUBSCRIBE_JS.format(**words)),
    ]
