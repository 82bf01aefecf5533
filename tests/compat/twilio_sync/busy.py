"""Settings of a demo site that takes one connection at a time."""

from typing import Any

from project import settings as demo
from project.settings import *  # noqa: F403 (a settings module is all of another one)

_PLACES: Any = {"MAX_CONNECTIONS": 1}
SYNC_STREAMS = {**demo.SYNC_STREAMS, **_PLACES}
