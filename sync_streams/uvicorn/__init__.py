"""Protocol classes for uvicorn: the fast and bounded way to serve.

::

    uvicorn mysite.asgi:application --http sync_streams.uvicorn:BoundedHttpProtocol \
        --ws sync_streams.uvicorn:FramePathProtocol

Each works without the other. They derive from uvicorn's own classes, which handle
everything else: https://www.uvicorn.org/settings/#implementation.
"""

from .frame_path import FramePathProtocol
from .http import BoundedHttpProtocol

__all__ = ["BoundedHttpProtocol", "FramePathProtocol"]
