"""Signals for the host project, sent once a change is committed.

Each is sent with ``send_robust``: a receiver that raises is logged, the operation
stands. All carry ``identity`` (who did it; ``system`` for REST and the server) and
``actor`` (the same, and over which connection).

``stream_created``, ``stream_updated``, ``stream_removed``
    ``stream``: the Stream, with its ``service``; a removed one is no longer in the
    database.
``message_published``
    ``stream`` and ``message``. Sent for every Message while anybody listens: keep the
    receiver quick.
"""

from django.dispatch import Signal

stream_created = Signal(use_caching=True)
stream_updated = Signal(use_caching=True)
stream_removed = Signal(use_caching=True)
message_published = Signal(use_caching=True)
