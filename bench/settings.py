"""Settings of the product under test: the demo site's, with the limits raised.

The publish rate would cap every saturated run at 30 a second, and the other limits
exist to stop clients that open thousands of connections at once.
"""

from project import settings as _project
from project.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
SYNC_STREAMS = {
    **_project.SYNC_STREAMS,
    "PREFIX": "sync_streams",
    "PUBLISH_RATE": 1_000_000,
    "MAX_FRAMES_PER_SECOND": 1_000_000,
    "MAX_BYTES_PER_SECOND": 1_000_000_000,
    "MAX_CONNECTS_PER_SECOND": 1_000_000,
    "MAX_LAG_SECONDS": 1_000,
}
