"""The test site as a separate server, with limits that a test can reach."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, SYNC_STREAMS

DATABASES["default"]["NAME"] = os.environ["DATABASE_FILE"]

SYNC_STREAMS |= {
    "PUBLISH_RATE": 100_000,
    "MAX_FRAMES_PER_SECOND": 100_000,
    "MAX_BYTES_PER_SECOND": 100_000_000,
    "STUCK_TIMEOUT_SECONDS": 1,
    "IN_FLIGHT_MAX_BYTES": 262_144,
    "OUTBOX_MAX_BYTES": 262_144,
}
