"""An operator who is logged in to the admin of a demo site, over HTTP."""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from tests.programs import DemoSite

T = TypeVar("T")

WAIT_SECONDS = 30


def until(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """Repeat until the result is as wanted: a busy process may be missing at first."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not wanted(found := look()) and time.monotonic() < deadline:
        continue
    return found


class Operator:
    """The site's own administrator."""

    def __init__(self, site: DemoSite) -> None:
        self._root = f"{site.base_url}/admin/"
        self._session = requests.Session()
        self._session.get(f"{self._root}login/", timeout=WAIT_SECONDS)
        login = {"username": "admin", "password": site.admin_password}
        self.post("login/", **login, next="/admin/")

    @property
    def session_key(self) -> str:
        """The value of the session's cookie."""
        return str(self._session.cookies["sessionid"])

    def get(self, path: str) -> requests.Response:
        """Open a page of the admin."""
        answer = self._session.get(f"{self._root}{path}", timeout=WAIT_SECONDS)
        answer.raise_for_status()
        return answer

    def post(self, path: str, **fields: Any) -> requests.Response:
        """Send a form of the admin."""
        token = self._session.cookies["csrftoken"]
        answer = self._session.post(
            f"{self._root}{path}",
            data={**fields, "csrfmiddlewaretoken": token},
            timeout=WAIT_SECONDS,
        )
        answer.raise_for_status()
        return answer

    def stream_sid(self) -> str:
        """Return the SID of the Stream at the top of the list."""
        page = self.get("sync_streams/stream/").text
        match = re.search("TO[a-f0-9]{32}", page)
        assert match
        return match[0]

    def service_sid(self) -> str:
        """Return the SID of the Service at the top of the list."""
        match = re.search("IS[a-f0-9]{32}", self.get("sync_streams/service/").text)
        assert match
        return match[0]

    def service_of(self, name: str) -> str:
        """Return the SID of the Service of that name."""
        page = self.get(f"sync_streams/service/?q={name}").text
        match = re.search(rf"(IS[a-f0-9]{{32}})/change/[^>]*>{name}<", page)
        assert match
        return match[1]

    def subscribers(self, stream_sid: str) -> int:
        """Return the data that the list's script gets for a Stream."""
        url = f"sync_streams/stream/occupancy/?sid={stream_sid}"
        count: int = self.get(url).json()[stream_sid]
        return count
