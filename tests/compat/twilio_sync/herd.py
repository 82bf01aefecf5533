"""Settings of a demo site for which three connections are a mass reconnect."""

from typing import Any

from project import settings as demo
from project.settings import *  # noqa: F403 (a settings module is all of another one)

_HERD: Any = {"MAX_CONNECTS_PER_SECOND": 1, "DRAIN_SECONDS": 0.1}
SYNC_STREAMS = {**demo.SYNC_STREAMS, **_HERD}
