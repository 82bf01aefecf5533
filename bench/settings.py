"""Settings of the product under test: the demo site's, with the brakes released.

The publish rate would end every saturated run at 30 a second, and a generator that
opens thousands of connections at once is what the other limits are for.
"""

from project import settings as _project
from project.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
SYNC_STREAMS = {
    **_project.SYNC_STREAMS,
    "PREFIX": "sync_streams",
    "PUBLISH_RATE": 1_000_000,
    "MAX_FRAMES_PER_SECOND": 1_000_000,
    "MAX_CONNECTS_PER_SECOND": 1_000_000,
    "MAX_LAG_SECONDS": 1_000,
}
