"""Settings of the product under test: the demo site's, with the brakes released.

The publish rate and the frame rate would end every saturated run at 30 a second.
"""

from project.settings import *  # noqa: F403
from project.settings import SYNC_STREAMS as _SYNC_STREAMS

ROOT_URLCONF = "bench.urls"
SYNC_STREAMS = {
    **_SYNC_STREAMS,
    "PUBLISH_RATE": 1_000_000,
    "MAX_FRAMES_PER_SECOND": 1_000_000,
}
