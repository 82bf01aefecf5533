"""Publishing while Redis is gone: refused with 20503 in time, on each road."""

import asyncio
import json
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Publisher, Subscriber, new_token
from tests.faults.scene import BOUND_SECONDS
from tests.faults.twilsock import Session
from tests.faults.worker import create_streams
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

TIMES = 3
"""Publishes on each road, one after the other."""

UNAVAILABLE = (503, 20503)
BY_JSON, BY_TWILSOCK = -1, -2
"""What is published there; over REST, numbers from 0."""

Answer = tuple[int, int | None]


async def over_json(connection: ClientConnection, type_: str, **fields: Any) -> Answer:
    """Send a frame and return the status and code of its answer."""
    await connection.send(json.dumps({"type": type_, "id": 1, **fields}))
    while (frame := json.loads(await connection.recv())).get("id") != 1:
        continue
    return frame.get("status", 201), frame.get("code")


async def over_twilsock(session: Session, sid: str) -> Answer:
    path = f"/v3/Streams/{sid}/Messages"
    status, body = await session.request("POST", path, {"data": {"n": BY_TWILSOCK}})
    return status, body.get("code")


async def over_rest(publisher: Publisher, sid: str) -> Answer:
    attempt = await publisher.publish(sid)
    return attempt.status, attempt.code


class Roads:
    """One client of each protocol, publishing to the same Stream."""

    def __init__(
        self,
        sid: str,
        publisher: Publisher,
        connection: ClientConnection,
        session: Session,
    ) -> None:
        self._sid, self._publisher = sid, publisher
        self._connection, self._session = connection, session
        self.slowest = 0.0

    async def publish(self) -> set[Answer]:
        """Publish on each road at once and return what was answered."""
        began = time.monotonic()
        message = {"stream": self._sid, "data": {"n": BY_JSON}}
        answers = await asyncio.gather(
            over_rest(self._publisher, self._sid),
            over_json(self._connection, "publish", **message),
            over_twilsock(self._session, self._sid),
        )
        self.slowest = max(self.slowest, time.monotonic() - began)
        return set(answers)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_nothing_is_accepted_that_nobody_will_hear(
    fault: str,
    redis_server: RedisServer,
    start_worker: StartWorker,
    figures: Figures,
) -> None:
    worker = await asyncio.to_thread(start_worker, REDIS_URL=redis_server.url)
    (sid,) = await asyncio.to_thread(create_streams, worker, 1)
    url = worker.base_url.replace("http", "ws", 1) + "/v1/websocket"
    async with (
        connect(url, compression=None) as connection,
        Session(worker.base_url) as session,
        Publisher(worker.base_url, "demo") as publisher,
        Subscriber(worker.base_url, sid) as subscriber,
    ):
        await over_json(connection, "connect", token=new_token("alice"))
        roads = Roads(sid, publisher, connection, session)
        assert await roads.publish() == {(201, None)}

        is_killed = fault == "killed"
        roads.slowest = 0
        await asyncio.to_thread(redis_server.kill if is_killed else redis_server.freeze)
        answers = [await roads.publish() for _ in range(TIMES)]
        subscription = await over_json(connection, "subscribe", stream="demo")
        slowest = roads.slowest
        await asyncio.to_thread(redis_server.start if is_killed else redis_server.thaw)
        while max(subscriber.received) <= TIMES:
            await roads.publish()

    assert answers == [{UNAVAILABLE}] * TIMES
    assert subscription == UNAVAILABLE
    assert slowest < BOUND_SECONDS
    assert set(subscriber.received) <= {BY_JSON, BY_TWILSOCK, *publisher.accepted}
    figures(
        f"publishing while Redis is {fault}: REST, JSON, Twilsock",
        lost="0, all refused with 503/20503",
        sockets_lost=subscriber.lost,
        slowest_refusal=f"{slowest:.1f} s",
    )
