"""The demo site's settings for workers under fault; the end shortens time limits."""

import json
import os
from typing import Any

from project.settings import *  # noqa: F403 - whatever the site has
from project.settings import (
    CHANNEL_LAYERS,
    DATABASES,
    LOGGING,
    REDIS_URL,
    SYNC_STREAMS,
)
from sync_streams.redis import urls
from tests.demo_settings import PASSWORD_HASHERS as PASSWORD_HASHERS

SYNC_STREAMS |= json.loads(os.environ.get("FAULT_SETTINGS", "{}"))

LAYERS = {
    "pubsub": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": urls.hosts(REDIS_URL) if REDIS_URL else []},
    },
    "core": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": urls.hosts(REDIS_URL) if REDIS_URL else [],
            "capacity": 10_000,
        },
    },
}
if layer := os.environ.get("FAULT_LAYER"):
    CHANNEL_LAYERS["default"] = LAYERS.get(layer, CHANNEL_LAYERS["default"])
if os.environ.get("PGOPTIONS") == "":  # as docs/deployment.md has it for PgBouncer
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
if size := os.environ.get("FAULT_POOL"):
    DATABASES["default"]["OPTIONS"]["pool"] |= {"min_size": 1, "max_size": int(size)}
if path := os.environ.get("FAULT_LOG"):
    logging: Any = LOGGING
    file = {"class": "logging.FileHandler", "filename": path, "formatter": "line"}
    logging["handlers"]["file"] = file
    logging["root"]["handlers"].append("file")
