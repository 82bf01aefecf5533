"""Clients that come, subscribe, publish, listen and go, politely or not."""

import asyncio
import itertools
import json
import random
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

SEATS = 5
"""Clients at a time."""

STREAMS = 40
PAUSE_SECONDS = 0.4


@dataclass(slots=True)
class Totals:
    """What the clients did."""

    visits: int = 0
    published: int = 0
    received: int = 0
    errors: int = 0


async def churn(url: str, token: str, *, seconds: float, totals: Totals) -> None:
    """Keep every seat taken for so many seconds; all are empty when this returns."""
    ends = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(_seat(url, token, ends, totals) for _ in range(SEATS)))


async def _seat(url: str, token: str, ends: float, totals: Totals) -> None:
    while asyncio.get_running_loop().time() < ends:
        try:
            await _visit(url, token, totals)
        except (OSError, TimeoutError, WebSocketException):
            totals.errors += 1
        totals.visits += 1


async def _visit(url: str, token: str, totals: Totals) -> None:
    async with connect(f"{url}/v1/websocket", open_timeout=10) as connection:
        numbers = itertools.count(1)
        await _ask(connection, next(numbers), "connect", token=token)
        for _ in range(random.randint(1, 3)):
            stream = f"soak-{random.randrange(STREAMS)}"
            mode = "open_or_create"
            await _ask(connection, next(numbers), "subscribe", stream=stream, mode=mode)
        data = {"text": "x" * random.randrange(500)}
        await _ask(connection, next(numbers), "publish", stream=stream, data=data)
        totals.published += 1
        await _listen(connection, totals)
        if random.random() < 0.5:  # half of them just vanish
            connection.transport.abort()


async def _listen(connection: ClientConnection, totals: Totals) -> None:
    try:
        async with asyncio.timeout(PAUSE_SECONDS * random.uniform(0.5, 1.5)):
            async for text in connection:
                totals.received += '"type":"message"' in str(text).replace(" ", "")
    except TimeoutError:
        pass


async def _ask(
    connection: ClientConnection, number: int, type_: str, **fields: object
) -> None:
    await connection.send(json.dumps({"type": type_, "id": number, **fields}))
    while True:
        frame = json.loads(await connection.recv())
        if frame.get("id") == number:
            if frame["type"] == "error":
                raise ConnectionError(frame["message"])
            return
