"""The test site as a server of its own, with the limits of a socket as they are."""

import gc
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, SYNC_STREAMS

DATABASES["default"]["NAME"] = os.environ["DATABASE_FILE"]

# Unneeded data must stay in memory, so that the test sees it.
gc.disable()

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.security.DisallowedHost": {"level": "CRITICAL"}},
}
"""As in docs/deployment.md."""

SYNC_STREAMS |= {"MAX_LAG_SECONDS": 60}  # the test is not about busy machines
