"""SIDs that keep the Streams of one name on one Redis server.

Our layer counts a Stream's rate on the server of its group. Where there are several
servers, the whole SID decides which one that is; on a cluster, its name does.
"""

from channels.layers import get_channel_layer

from sync_streams.delivery.events import stream_group
from sync_streams.sids import name_digits, new_named_stream_sid

from .servers import server_of


def new_sid_of_name(service_sid: str, unique_name: str) -> str:
    """Return a new SID of a Stream whose rate is counted where that of its name is."""
    layer = get_channel_layer()
    while True:
        # As many draws as there are servers, on average.
        sid = new_named_stream_sid(service_sid, unique_name)
        home = server_of(layer, stream_group(name_digits(sid)))
        if server_of(layer, stream_group(sid)) == home:
            return sid
