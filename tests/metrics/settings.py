"""The demo site's settings under test, with the view of metrics."""

from tests.faults.settings import *  # noqa: F403 - whatever the site has

ROOT_URLCONF = "tests.metrics.urls"
