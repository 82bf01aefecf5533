"""The host project's server, and how its users call it."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import requests

from tests import zygote
from tests.clients.accounts import ACCOUNT
from tests.clients.json_socket import PATH, Frame, SiteSocket
from tests.clients.rest import request
from tests.programs import Program, PythonProgram, free_port, site_environ

UVICORN = "uvicorn tests.hosts.asgi:application --port {port} --lifespan on"
GEVENT = "gunicorn tests.hosts.wsgi:application --bind 127.0.0.1:{port} -k gevent"


class Host:
    """A migrated host project with a server; one for each variant."""

    account = ACCOUNT

    def __init__(self, folder: Path, variant: str, **environ: str) -> None:
        self.environ = site_environ(
            folder,
            DJANGO_SETTINGS_MODULE="tests.hosts.settings",
            HOST_FOLDER=str(folder),
            HOST_VARIANT=variant,
            **environ,
        )
        self.base_url = ""

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it prints."""
        return self._run("-m", "django", *arguments)

    def run(self, code: str) -> Any:
        """Run lines of Python in the project and return what they print, JSON."""
        return json.loads(self._run("-c", f"import django; django.setup()\n{code}"))

    def serve(self, server: str = UVICORN) -> None:
        """Start a server."""
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        command = ["-m", *server.format(port=port).split()]
        # uvicorn and gunicorn both say at which address they listen.
        ready, environ = self.base_url, self.environ
        self._program = (
            PythonProgram(*command, ready=ready, environ=environ)
            if server == UVICORN  # gevent has to be the first to load sockets
            else Program(sys.executable, *command, ready=ready, environ=environ)
        )

    def stop(self) -> None:
        """End the server, if it runs."""
        if hasattr(self, "_program"):
            self._program.stop()

    @property
    def output(self) -> str:
        """What the server printed."""
        return self._program.output

    def call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        **fields: object,
    ) -> requests.Response:
        """Send a request with the account's credentials."""
        return request(self, method, path, headers, **fields)

    def _run(self, *arguments: str) -> str:
        done = zygote.run(*arguments, environ=self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@asynccontextmanager
async def subscribed(
    host: Host, stream: str, prefix: str = ""
) -> AsyncIterator[tuple[SiteSocket, Frame]]:
    """Connect and subscribe; give the connection and the answer."""
    async with SiteSocket(host, path=prefix + PATH) as subscriber:
        assert subscriber.connected["type"] == "connected"
        yield subscriber, await subscriber.ask("subscribe", stream=stream)
