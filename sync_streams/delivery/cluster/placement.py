"""Placement: SIDs that keep all Streams of one name on the same Redis server.

Our layer counts a Stream's rate on the server of its group. With several servers, the
whole SID decides which one that is; on a cluster, the unique name does.
"""

from channels.layers import get_channel_layer

from sync_streams.delivery.events import stream_group
from sync_streams.redis.layer import RedisChannelLayer
from sync_streams.values.sids import name_digits, new_named_stream_sid


def new_sid_of_name(service_sid: str, unique_name: str) -> str:
    """Return a new SID for a Stream on the same server as its name's rate."""
    layer = get_channel_layer()
    sid = new_named_stream_sid(service_sid, unique_name)
    if isinstance(layer, RedisChannelLayer):
        home = layer.server_of(stream_group(name_digits(sid)))
        # On average this takes as many attempts as there are servers.
        while layer.server_of(stream_group(sid)) != home:
            sid = new_named_stream_sid(service_sid, unique_name)
    return sid
