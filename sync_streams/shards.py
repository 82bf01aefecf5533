"""Deprecated: two functions for ``CHANNEL_LAYERS``, now in ``redis.urls``.

This module will be removed in the next release.
"""

import warnings

from .redis.urls import connection_options, hosts

__all__ = ["connection_options", "hosts"]

warnings.warn(
    "sync_streams.shards is deprecated; import from sync_streams.redis.urls",
    DeprecationWarning,
    stacklevel=2,
)
