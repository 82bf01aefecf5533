"""Settings of a demo site with time limits of seconds instead of minutes."""

from typing import Any

from project import settings as demo
from project.settings import *  # noqa: F403 (a settings module is all of another one)

_PATIENCE: Any = {
    "CONNECT_TIMEOUT_SECONDS": 0.5,
    "KEEPALIVE_SECONDS": 0.5,
    "STUCK_TIMEOUT_SECONDS": 2,
}
SYNC_STREAMS = {**demo.SYNC_STREAMS, **_PATIENCE}
