"""The demo site's startup message: its URL and how to publish to it."""

import sys
import webbrowser
from collections.abc import Mapping
from threading import Thread

_TEXT = """\
Page:  {url}/
Admin: {url}/admin/ (user {admin})

Account SID:    {SYNC_ACCOUNT_SID}
Auth token:     {SYNC_AUTH_TOKEN}
API key SID:    {SYNC_API_KEY_SID}
API key secret: {SYNC_API_KEY_SECRET}

Publish to the Stream "demo" with curl:

curl -u {SYNC_ACCOUNT_SID}:{SYNC_AUTH_TOKEN} \
{url}/v1/Services/default/Streams/demo/Messages \
--data-urlencode 'Data={{"text": "Hello from curl"}}'

or with Python (pip install twilio):

from twilio.rest import Client
client = Client("{SYNC_ACCOUNT_SID}", "{SYNC_AUTH_TOKEN}")
client.sync.base_url = "{url}"
client.sync.v1.services("default").sync_streams("demo").stream_messages.create(\
data={{"text": "Hello from Python"}})

Ctrl-C ends the server.
"""


def render(url: str, *, admin: str, credentials: Mapping[str, str]) -> str:
    """Return the text for a server at *url*, an origin without a trailing slash."""
    return _TEXT.format(url=url, admin=admin, **credentials)


def offer(url: str) -> None:
    """Open the page when Enter is pressed; without a terminal, do nothing.

    Args:
        url: as in :func:`render`.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        print("Press Enter to open the page.", flush=True)
        Thread(target=_open_on_enter, args=(f"{url}/",), daemon=True).start()


def _open_on_enter(url: str) -> None:
    while sys.stdin.readline():
        webbrowser.open(url)
