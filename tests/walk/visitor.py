"""``python -m tests.walk.visitor CERTIFICATE``: a client of the site, in its network.

The environment has the credentials of /etc/sync-streams.env. It prints what it saw, as
JSON.
"""

import asyncio
import json
import os
import re
import ssl
import sys
import time
from typing import Any

import requests
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant
from websockets.asyncio.client import connect

ADDRESS = "sync.example.com"
ORIGIN = "https://localhost"
STREAMS = "/v1/Services/default/Streams"
WAIT_SECONDS = 30


class Visitor:
    """A client of nginx."""

    def __init__(self, certificate: str) -> None:
        self._tls = ssl.create_default_context(cafile=certificate)
        self._session = requests.Session()
        self._certificate = certificate
        self._session.headers["Host"] = ADDRESS
        names = ("SYNC_ACCOUNT_SID", "SYNC_AUTH_TOKEN")
        self._login = os.environ[names[0]], os.environ[names[1]]

    def visit(self) -> dict[str, Any]:
        """Return what the site answers to each kind of request."""
        ready = self._wait_until_ready().json()
        login = self._get("/admin/login/")
        [sheet, *_] = re.findall(r'href="(/static/[^"]+\.css)"', login.text)
        return {
            "not ready": [part for part, holds in ready.items() if not holds],
            "style sheet": self._get(sheet).headers["Content-Type"],
            "created": self._post(STREAMS, UniqueName="demo"),
            "received": asyncio.run(self._receive()),
        }

    def _wait_until_ready(self) -> requests.Response:
        """Ask until a worker that was started just now responds."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            answer = self._get("/readyz?token=secret")
            if answer.ok or time.monotonic() > until:
                return answer
            time.sleep(0.1)

    async def _receive(self) -> Any:
        """Return the data that a subscriber of a JSON socket receives."""
        url = ORIGIN.replace("https", "wss") + "/v1/websocket"
        async with connect(url, ssl=self._tls) as socket:
            for frame in (
                {"type": "connect", "id": 1, "token": self._token()},
                {"type": "subscribe", "id": 2, "stream": "demo"},
            ):
                await socket.send(json.dumps(frame))
                assert json.loads(await socket.recv())["id"] == frame["id"]
            await asyncio.to_thread(self._publish)
            return json.loads(await socket.recv())["message"]["data"]

    def _token(self) -> str:
        key = os.environ["SYNC_API_KEY_SID"], os.environ["SYNC_API_KEY_SECRET"]
        token = AccessToken(self._login[0], *key, identity="alice")
        token.add_grant(SyncGrant(service_sid="default"))
        return str(token.to_jwt())

    def _publish(self) -> int:
        return self._post(f"{STREAMS}/demo/Messages", Data='{"n": 1}')

    def _post(self, path: str, **data: str) -> int:
        url = ORIGIN + path
        answer = self._session.post(
            url,
            data=data,
            auth=self._login,
            verify=self._certificate,
            timeout=WAIT_SECONDS,
        )
        return answer.status_code

    def _get(self, path: str) -> requests.Response:
        return self._session.get(
            ORIGIN + path, verify=self._certificate, timeout=WAIT_SECONDS
        )


if __name__ == "__main__":
    print(json.dumps(Visitor(sys.argv[1]).visit()))
