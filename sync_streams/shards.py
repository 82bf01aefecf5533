"""Deprecated: the former place of two functions for ``CHANNEL_LAYERS``.

It goes with the next release; ``sync_streams.redis.urls`` has them.
"""

import warnings

from .redis.urls import connection_options, hosts

__all__ = ["connection_options", "hosts"]

warnings.warn(
    "sync_streams.shards is deprecated; import from sync_streams.redis.urls",
    DeprecationWarning,
    stacklevel=2,
)
