"""The admin: Services and Streams, and a live view of their Messages.

Every change goes through an operation, so that subscribers and webhooks are notified.
See https://docs.djangoproject.com/en/stable/ref/contrib/admin/.
"""

from .service import ServiceAdmin
from .stream import StreamAdmin

__all__ = ["ServiceAdmin", "StreamAdmin"]
