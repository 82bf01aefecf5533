"""Protocol classes for uvicorn: the fast and bounded way to serve.

::

    uvicorn mysite.asgi:application --http sync_streams.uvicorn:BoundedHttpProtocol \
        --ws sync_streams.uvicorn:FramePathProtocol

Either works without the other. They derive from uvicorn's own classes, which do what is
not said here: https://www.uvicorn.org/settings/#implementation.
"""

from .frame_path import FramePathProtocol
from .http import BoundedHttpProtocol

__all__ = ["BoundedHttpProtocol", "FramePathProtocol"]
