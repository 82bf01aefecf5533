"""The demo site's settings for workers under fault: what tests shorten comes last."""

import json
import os

from project.settings import *  # noqa: F403 - whatever the site has
from project.settings import CHANNEL_LAYERS, REDIS_URL, SYNC_STREAMS
from sync_streams.redis import urls

SYNC_STREAMS |= json.loads(os.environ.get("FAULT_SETTINGS", "{}"))

if os.environ.get("FAULT_LAYER") == "core":
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": urls.hosts(REDIS_URL), "capacity": 10_000},
    }
