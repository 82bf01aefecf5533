"""ASGI middleware of the demo site: a request's body comes to an end.

Django takes in the whole body, into a file if need be, before a view is asked:
https://docs.djangoproject.com/en/stable/ref/settings/#file-upload-max-memory-size.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

MAX_BODY_BYTES = 2_621_440
"""Django's own bound for a form, and above the API's, whose view then answers 413."""


class BoundedBody:
    """Hands on a body up to ``MAX_BODY_BYTES``; the rest is dropped as it comes."""

    def __init__(self, application: Application) -> None:
        """Stand before *application*."""
        self._application = application

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        await self._application(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    left = MAX_BODY_BYTES

    async def receive_bounded() -> Event:
        nonlocal left
        event = await receive()
        while event["type"] == "http.request":
            if left >= 0:
                left -= len(event.get("body", b""))
                return event if left >= 0 else {**event, "more_body": False}
            event = await receive()
        return event

    return receive_bounded
