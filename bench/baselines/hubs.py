"""Starts peers that are Go programs, where their binaries are on ``PATH``.

``go install github.com/centrifugal/centrifugo/v6@latest`` builds Centrifugo. Mercure is
built in its repository: ``cd caddy && go build -o ~/go/bin/mercure ./mercure``.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench import accounts
from bench.process import Server

CENTRIFUGO: dict[str, Any] = {
    "log": {"level": "error"},
    "client": {"token": {"hmac_secret_key": accounts.API_KEY_SECRET}},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_publish_for_client": True,
        }
    },
    "http_api": {"key": accounts.AUTH_TOKEN},
    "uni_sse": {"enabled": True},
}

_MERCURE = """
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {folder}
  log {{
    level ERROR
  }}
}}
http://127.0.0.1:{port} {{
  mercure {{
    transport local
    anonymous
    publisher_jwt {key}
  }}
}}
"""


def centrifugo(port: int) -> Server:
    """Serve with Centrifugo: in memory, without history."""
    folder = tempfile.mkdtemp(prefix="bench-centrifugo-")
    server = {"address": "127.0.0.1", "port": str(port)}
    configuration = Path(folder, "config.json")
    configuration.write_text(json.dumps({**CENTRIFUGO, "http_server": server}))
    command = ["centrifugo", "--config", str(configuration)]
    return Server(command, port=port, folder=folder)


def mercure(port: int) -> Server:
    """Serve with Mercure's hub: in memory, without history."""
    folder = tempfile.mkdtemp(prefix="bench-mercure-")
    configuration = Path(folder, "Caddyfile")
    key = accounts.API_KEY_SECRET
    configuration.write_text(_MERCURE.format(folder=folder, port=port, key=key))
    command = ["mercure", "run", "--config", str(configuration)]
    return Server(command, port=port, folder=folder)


def missing(program: str) -> str:
    """Return why a program cannot run here; empty if it can."""
    return "" if shutil.which(program) else f"needs {program} on PATH"
