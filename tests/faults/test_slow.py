"""Clients on a bad line: they stay connected and are told of their losses."""

import asyncio
import json

import pytest

from tests.faults.conftest import Figures, StartWorker
from tests.faults.rig import Publisher, Subscriber, account_for, missed
from tests.faults.transports import EventStreamSubscriber
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

BYTES_PER_SECOND = 5_000
MESSAGES, RATE, PADDING = 70, 28, "x" * 3_900
SETTINGS = {"OUTBOX_MAX_MESSAGES": 4, "IN_FLIGHT_MAX_BYTES": 32_768}


async def test_clients_that_read_5_kb_a_second_stay_and_receive_their_gaps(
    redis_server: RedisServer, start_worker: StartWorker, figures: Figures
) -> None:
    environ = {"REDIS_URL": redis_server.url, "FAULT_SETTINGS": json.dumps(SETTINGS)}
    worker = await asyncio.to_thread(start_worker, **environ)
    async with (
        Proxy(worker.port, bytes_per_second=BYTES_PER_SECOND) as line,
        Subscriber(worker.base_url, "demo") as quick,
        Subscriber(line.base_url, "demo") as socket,
        EventStreamSubscriber(line.base_url, "demo") as page,
        Publisher(worker.base_url, "demo", padding=PADDING) as publisher,
    ):
        for _ in range(MESSAGES):
            await publisher.publish()
            await asyncio.sleep(1 / RATE)  # the rate, not a wait for deliveries
        line.bytes_per_second = 100 * BYTES_PER_SECOND  # they have waited long enough
        losses = await account_for(publisher, quick, socket, page)

    assert len(publisher.accepted) == len(quick.received) == MESSAGES
    assert socket.lost == page.lost == 0
    # For an event stream the server and the kernel buffer much more, so perhaps none is
    # lost.
    assert 0 < len(missed(publisher, socket)) < MESSAGES
    figures(
        f"two clients, JSON and SSE, read {BYTES_PER_SECOND // 1000} kB a second",
        again_after="no pause",
        losses=losses,
        sent=f"{MESSAGES * len(PADDING) // 1000} kB in {MESSAGES / RATE:.0f} s",
    )
