"""Placement: SIDs that keep all Streams of one name on the same Redis server.

Our layer counts a Stream's rate on the server of its group. With several servers, the
whole SID decides which one that is; on a cluster, the unique name does.
"""

from channels.layers import get_channel_layer

from sync_streams.delivery.events import stream_group
from sync_streams.sids import name_digits, new_named_stream_sid

from .servers import server_of


def new_sid_of_name(service_sid: str, unique_name: str) -> str:
    """Return a new SID for a Stream on the same server as its name's rate."""
    layer = get_channel_layer()
    while True:
        # On average this takes as many attempts as there are servers.
        sid = new_named_stream_sid(service_sid, unique_name)
        home = server_of(layer, stream_group(name_digits(sid)))
        if server_of(layer, stream_group(sid)) == home:
            return sid
