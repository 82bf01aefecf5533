"""The smallest site with Redis and its own database, for a test's process."""

import os
import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

from tests import settings as base


def set_up(**values: Any) -> None:
    """Set Django up and create a Stream ``orders`` in a new database."""
    redis_url = os.environ["REDIS_URL"]
    database = Path(tempfile.mkdtemp(), "site.sqlite3")
    layer = os.environ.get("LAYER", "channels_redis.pubsub.RedisPubSubChannelLayer")
    settings.configure(
        **{name: value for name, value in vars(base).items() if name.isupper()}
        | {
            "DATABASES": {
                "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}
            },
            "CHANNEL_LAYERS": {
                "default": {"BACKEND": layer, "CONFIG": {"hosts": [redis_url]}}
            },
            "SYNC_STREAMS": {
                **base.SYNC_STREAMS,
                "REDIS_URL": redis_url,
                "PUBLISH_RATE": 1000,
                "WEBHOOK_ALLOW_PRIVATE": True,
                **values,
            },
        }
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from sync_streams import operations  # noqa: PLC0415 - models exist only now

    service = operations.get_service(base.ACCOUNT_SID, "default")
    operations.create_stream(service, unique_name="orders")
