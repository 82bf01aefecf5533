"""Daphne with limits on everything that a client sends.

``python -m sync_streams.daphne`` takes the options of ``daphne``. Plain Daphne keeps
reading a request as long as a byte arrives each second, stores a body of any length in
a file, keeps whatever a client does not read of a response, and answers pings without
counting them. Here each is bounded, as defined in
:mod:`sync_streams.connections.bounds` and :mod:`sync_streams.connections.inbound`.
https://github.com/django/daphne
"""

from .server import BoundedServer

__all__ = ["BoundedServer"]
