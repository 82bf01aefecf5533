"""Settings of a site whose views fail, with the LOGGING of docs/deployment.md."""

import os
from typing import Any

from tests.documents import code_block
from tests.faults.settings import *  # noqa: F403 - whatever the site has

ROOT_URLCONF = "tests.metrics.failing"

_block = code_block("docs/deployment.md", "python", "LOGGING")
_space: dict[str, Any] = {}
exec(_block[_block.index("LOGGING = ") :], _space)
LOGGING = _space["LOGGING"]
LOGGING["handlers"]["console"]["formatter"] = os.environ["LOG_FORMAT"]
