"""The demo site's application, printing each removal that this process announces."""

import sys

from project.asgi import application
from sync_streams.models import Stream
from sync_streams.signals import stream_removed

__all__ = ["application"]


def _tell(stream: Stream, **_: object) -> None:
    sys.stdout.write(f"REMOVED {stream.sid}\n")
    sys.stdout.flush()


stream_removed.connect(_tell, dispatch_uid="tests.faults")
