"""The admin: Services and Streams, and what passes through them while one looks.

Every change goes through an operation, so that subscribers and webhooks hear of it.
See https://docs.djangoproject.com/en/stable/ref/contrib/admin/.
"""

from .service import ServiceAdmin
from .stream import StreamAdmin

__all__ = ["ServiceAdmin", "StreamAdmin"]
