"""Applications that record what a server passes to them instead of answering itself."""

from typing import Any

from sync_streams.asgi import PublishEndpoint
from tests.asgi import application


class Endpoint(PublishEndpoint):
    """Counts the requests that arrive as ASGI calls."""

    calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        await super().__call__(scope, receive, send)


class Recorder:
    """An application; keeps the frames that reach it as ASGI events."""

    def __init__(self, application: Any = application) -> None:
        self._application = application
        self.frames: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def recorded() -> Any:
            event = await receive()
            if event["type"] == "websocket.receive":
                text = event.get("text") or event["bytes"].decode()
                self.frames.append(text)
            return event

        await self._application(scope, recorded, send)
