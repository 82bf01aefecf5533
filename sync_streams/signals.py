"""Signals for the host project, sent once a change is committed.

Each is sent with ``send_robust``: if a receiver raises, the exception is logged and the
change is kept. All carry ``identity`` (who did it; ``system`` for REST and the server)
and ``actor`` (who did it, and over which connection).

``stream_created``, ``stream_updated``, ``stream_removed``
    ``stream``: the Stream, with its ``service``; a removed one is no longer in the
    database.
``message_published``
    ``stream`` and ``message``. Sent for every Message if any receiver is connected:
    keep receivers fast.
"""

from django.dispatch import Signal

stream_created = Signal(use_caching=True)
stream_updated = Signal(use_caching=True)
stream_removed = Signal(use_caching=True)
message_published = Signal(use_caching=True)
