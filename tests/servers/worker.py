"""gunicorn's worker of docs/deployment.md."""

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """uvicorn's worker, bounded and with the frame path."""

    CONFIG_KWARGS = {  # noqa: RUF012 - as the base class has it
        "http": "sync_streams.uvicorn:BoundedHttpProtocol",
        "ws": "sync_streams.uvicorn:FramePathProtocol",
        "ws_max_size": 262_144,
        "ws_per_message_deflate": False,
        "lifespan": "off",
    }
