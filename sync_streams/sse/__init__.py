"""Server-Sent Events: Streams for pages that have no client library.

See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from .views import event_stream, session_events

__all__ = ["event_stream", "session_events"]
