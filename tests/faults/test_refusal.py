"""Publishing while Redis is down: refused with 20503 in time, on each transport."""

import asyncio
import time
from typing import Any

import pytest

from tests.clients.json_socket import SiteSocket
from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Publisher, Subscriber, account_for
from tests.faults.scene import BOUND_SECONDS
from tests.faults.twilsock import Session
from tests.faults.worker import create_streams
from tests.programs import RedisServer

pytestmark = pytest.mark.redis

IN_A_ROW, IN_A_ROW_RATE = 200, 29
TIMES = 3
"""Publishes on each transport, one after the other."""

UNAVAILABLE = (503, 20503)
BY_JSON, BY_TWILSOCK = -1, -2
"""What is published there; over REST, numbers from 0."""

Answer = tuple[int, int | None]


async def over_json(socket: SiteSocket, type_: str, **fields: Any) -> Answer:
    """Send a frame and return the status and code of its answer."""
    frame = await socket.ask(type_, **fields)
    return frame.get("status", 201), frame.get("code")


async def over_twilsock(session: Session, sid: str) -> Answer:
    path = f"/v3/Streams/{sid}/Messages"
    status, body = await session.request("POST", path, {"data": {"n": BY_TWILSOCK}})
    return status, body.get("code")


async def over_rest(publisher: Publisher, sid: str) -> Answer:
    attempt = await publisher.publish(sid)
    return attempt.status, attempt.code


class Transports:
    """One client of each protocol, publishing to the same Stream."""

    def __init__(
        self,
        sid: str,
        publisher: Publisher,
        socket: SiteSocket,
        session: Session,
    ) -> None:
        self._sid, self._publisher = sid, publisher
        self._socket, self._session = socket, session
        self.slowest = 0.0

    async def publish(self) -> set[Answer]:
        """Publish on each transport at once and return the responses."""
        began = time.monotonic()
        message = {"stream": self._sid, "data": {"n": BY_JSON}}
        answers = await asyncio.gather(
            over_rest(self._publisher, self._sid),
            over_json(self._socket, "publish", **message),
            over_twilsock(self._session, self._sid),
        )
        self.slowest = max(self.slowest, time.monotonic() - began)
        return set(answers)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_nothing_is_accepted_that_no_one_will_receive(
    fault: str,
    redis_server: RedisServer,
    start_worker: StartWorker,
    figures: Figures,
) -> None:
    worker = await asyncio.to_thread(start_worker, REDIS_URL=redis_server.url)
    (sid,) = await asyncio.to_thread(create_streams, worker, 1)
    async with (
        SiteSocket(worker, compression=None) as socket,
        Session(worker.base_url) as session,
        Publisher(worker.base_url, "demo") as publisher,
        Subscriber(worker.base_url, sid) as subscriber,
    ):
        transports = Transports(sid, publisher, socket, session)
        assert await transports.publish() == {(201, None)}

        is_killed = fault == "killed"
        transports.slowest = 0
        await asyncio.to_thread(redis_server.kill if is_killed else redis_server.freeze)
        answers = [await transports.publish() for _ in range(TIMES)]
        subscription = await over_json(socket, "subscribe", stream="demo")
        slowest = transports.slowest
        await asyncio.to_thread(redis_server.start if is_killed else redis_server.thaw)
        while max(subscriber.received) <= TIMES:
            await transports.publish()
        losses = await account_for(publisher, subscriber)

    assert answers == [{UNAVAILABLE}] * TIMES
    assert subscription == UNAVAILABLE
    assert slowest < BOUND_SECONDS
    assert set(subscriber.received) <= {BY_JSON, BY_TWILSOCK, *publisher.accepted}
    figures(
        f"publishing while Redis is {fault}: REST, JSON, Twilsock",
        losses=losses,
        answers="503/20503 to all",
        sockets_lost=subscriber.lost,
        slowest_refusal=f"{slowest:.1f} s",
    )


class Asker:
    """Publishes over one connection at a rate, and times each answer."""

    def __init__(self, socket: SiteSocket, sid: str) -> None:
        self._socket, self._sid = socket, sid
        self._asked: dict[int, float] = {}
        self.took: list[float] = []
        self.codes: set[int | None] = set()

    async def ask(self, count: int, rate: float) -> None:
        """Publish that many Messages without waiting, and collect all replies."""
        taking = asyncio.create_task(self._take(count))
        for number in range(count):
            self._asked[number] = time.monotonic()
            message = {"stream": self._sid, "data": {"n": BY_JSON}}
            await self._socket.request("publish", id=number, **message)
            await asyncio.sleep(1 / rate)  # the rate, not a wait for deliveries
        await taking

    async def _take(self, count: int) -> None:
        while len(self.took) < count:
            frame = await self._socket.receive()
            if frame["type"] in {"published", "error"}:
                self.took.append(time.monotonic() - self._asked[frame["id"]])
                self.codes.add(frame.get("code"))


async def test_publishes_of_one_connection_do_not_wait_in_a_row(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    # Probes at the default interval, so that they cannot be what helps.
    environ = {"REDIS_URL": redis_server.url, "FAULT_SETTINGS": '{"PROBE_SECONDS": 5}'}
    worker = await asyncio.to_thread(start_worker, **environ)
    (sid,) = await asyncio.to_thread(create_streams, worker, 1)
    async with SiteSocket(worker, compression=None) as socket:
        asker = Asker(socket, sid)
        await asker.ask(1, IN_A_ROW_RATE)
        asker.took.clear()
        redis_server.freeze()
        await asker.ask(IN_A_ROW, IN_A_ROW_RATE)

    assert 20503 in asker.codes
    assert max(asker.took) < BOUND_SECONDS
    figures(
        f"{IN_A_ROW} publishes over one connection while Redis is frozen",
        slowest_answer=f"{max(asker.took):.1f} s",
    )
