"""Starts the peers that are not Python: Node libraries and nchan, where available.

Their npm and pip packages go into ``bench/.cache``, never into the project.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from bench import machine
from bench.process import Server

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NODE_PACKAGES = ["ws@8", "socket.io@4"]
EVENTSTREAM_PACKAGES = [
    "django-eventstream==5.*",
    "django-grip",
    "gripcontrol",
    "pubcontrol",
    "six",
    "werkzeug",
    "markupsafe",
    "requests",
    "urllib3",
    "certifi",
    "idna",
    "charset-normalizer",
]
INSTALL_SECONDS = 180

_NGINX = """
load_module {module};
daemon off; worker_processes 1; worker_rlimit_nofile {files};
pid {folder}/pid; error_log stderr warn;
events {{ worker_connections {files}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  nchan_max_reserved_memory 256m;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location ~ ^/pub/(\\w+)$ {{ nchan_publisher http; nchan_channel_id $1;
      nchan_message_buffer_length 256; }}
    location ~ ^/sub/(\\w+)$ {{
      nchan_subscriber websocket; nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


def nchan(port: int) -> Server:
    """Serve with nginx and nchan: one worker, default buffering of messages."""
    folder = tempfile.mkdtemp(prefix="bench-nchan-")
    (_, files) = machine.descriptor_limits()
    text = _NGINX.format(module=NCHAN, folder=folder, port=port, files=files)
    configuration = Path(folder, "nginx.conf")
    configuration.write_text(text)
    command = ["nginx", "-p", folder, "-e", "stderr", "-c", str(configuration)]
    return Server(command, port=port, folder=folder)


def nchan_missing() -> str:
    """Return why nchan cannot run here."""
    if shutil.which("nginx") and NCHAN.exists():
        return ""
    return "needs Debian's nginx and libnginx-mod-nchan"


def node(script: str, port: int) -> Server:
    """Serve with Node."""
    modules = {"NODE_PATH": str(CACHE / "node/node_modules")}
    command = ["node", str(HERE / "node" / script), str(port)]
    return Server(command, port=port, env=modules)


@lru_cache(maxsize=1)
def node_missing() -> str:
    """Install the Node libraries if needed; return why they cannot run here."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "needs node and npm"
    folder = CACHE / "node"
    if all(
        (folder / "node_modules" / name.split("@")[0]).exists()
        for name in NODE_PACKAGES
    ):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
    return _install(["npm", "install", *options, *NODE_PACKAGES])


@lru_cache(maxsize=1)
def eventstream_missing() -> str:
    """Install django-eventstream if needed; return why it cannot run here."""
    folder = CACHE / "eventstream"
    if (folder / "django_eventstream").exists():
        return ""
    options = ["--quiet", "--no-deps", "--target", str(folder)]
    pip = [sys.executable, "-m", "pip", "install", *options]
    return _install([*pip, *EVENTSTREAM_PACKAGES])


def _install(command: list[str]) -> str:
    try:
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return f"could not be installed: {error}"
    return ""
