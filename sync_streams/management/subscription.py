"""Subscription of a command to one Stream while it exists, across reconnects."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from sync_streams.operations.data import JSONObject

from .destination import Destination
from .sockets import Disconnected, Socket, ask, next_frame, open_socket

MAX_PAUSE_SECONDS = 30

Tell = Callable[[str], None]
"""Prints a status line on the terminal."""


async def follow(
    destination: Destination, stream: str, identity: str, tell: Tell
) -> AsyncGenerator[JSONObject, None]:
    """Yield a Stream's ``message`` and ``gap`` frames until it is removed.

    Args:
        destination: where the Stream is.
        stream: its SID or unique name.
        identity: identity to subscribe as.
        tell: called with connections and pauses.

    Raises:
        CommandError: the server refuses a request.
    """
    failures = 0
    while True:
        try:
            async with (
                open_socket(destination) as socket,
                aclosing(_frames(socket, destination, stream, identity)) as frames,
            ):
                async for frame in frames:
                    if frame["type"] == "stream_removed":
                        tell("The Stream was removed.")
                        return
                    if frame["type"] == "subscribed":
                        tell(f"Subscribed to {frame['stream']['sid']}.")
                        failures = 0
                    yield frame
        except Disconnected as error:
            failures += 1
            seconds = pause(failures)
            tell(f"Disconnected. {error} Trying again in {seconds} s.")
            await asyncio.sleep(seconds)


def pause(failures: int) -> float:
    """Return the seconds until the next attempt: longer each time, with jitter."""
    longest = min(MAX_PAUSE_SECONDS, 2 ** (failures - 1))
    return round(random.uniform(longest / 2, longest), 1)  # noqa: S311 - spread


async def _frames(
    socket: Socket, destination: Destination, stream: str, identity: str
) -> AsyncGenerator[JSONObject, None]:
    await ask(socket, "connect", token=destination.token(identity))
    for frame in await ask(socket, "subscribe", stream=stream):
        yield frame
    while True:
        frame = await next_frame(socket)
        if frame["type"] == "token_about_to_expire":
            token = destination.token(identity)
            await socket.send({"type": "token", "id": 2, "token": token})
        yield frame
