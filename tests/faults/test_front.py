"""A proxy in front of a worker that cannot publish, beside one that can."""

import asyncio

import aiohttp
import pytest

from tests.faults.conftest import Figures, StartFront, StartWorker
from tests.faults.health import until_ready
from tests.faults.rig import Publisher, Subscriber, account_for
from tests.faults.worker import ACCOUNT, Front, HAProxy, Nginx, create_streams
from tests.programs import RedisServer
from tests.proxy import Proxy

pytestmark = pytest.mark.redis

PUBLISHES, STREAMS, AT_ONCE = 400, 20, 4
MAX_REFUSED = PUBLISHES // 100
BODY = {
    "code": 20503,
    "message": "Service unavailable",
    "more_info": "https://www.twilio.com/docs/errors/20503",
    "status": 503,
}
NAMES = {Nginx: "nginx", HAProxy: "HAProxy"}
ASKED_BY_FRONT = {"X-Unpublished-Status": "502"}


async def post(url: str, data: str) -> tuple[int, str, object]:
    """Return status, type and body of the answer to a POST."""
    async with (
        aiohttp.ClientSession(headers=ACCOUNT.headers) as session,
        session.post(url, data={"Data": data}) as answer,
    ):
        return answer.status, answer.content_type, await answer.json()


async def publish_many(publisher: Publisher, sids: list[str]) -> None:
    for _ in range(0, PUBLISHES, AT_ONCE):
        turn = [sids[n % STREAMS] for n in range(AT_ONCE)]
        await asyncio.gather(*map(publisher.publish, turn))
        sids = sids[AT_ONCE:] + sids[:AT_ONCE]


@pytest.mark.parametrize("kind", [Nginx, HAProxy])
async def test_publishes_go_to_the_worker_that_redis_reaches(
    kind: type[Front],
    redis_server: RedisServer,
    start_worker: StartWorker,
    start_front: StartFront,
    figures: Figures,
) -> None:
    environ = {"REDIS_URL": redis_server.url}
    async with Proxy(redis_server.port) as gate:
        well = await asyncio.to_thread(start_worker, **environ)
        environ["REDIS_URL"] = gate.url
        cut_off = await asyncio.to_thread(start_worker, **environ)
        front = await asyncio.to_thread(start_front, well, cut_off, kind=kind)
        sids = await asyncio.to_thread(create_streams, well, STREAMS)
        async with (
            Subscriber(well.base_url, *sids) as subscriber,
            Publisher(front.base_url, sids[0]) as publisher,
        ):
            gate.is_silent = True
            await until_ready(cut_off, 503)
            await publish_many(publisher, sids)
            losses = await account_for(publisher, subscriber)

    refused = [one for one in publisher.attempts if one.status != 201]
    assert {one.code for one in refused} <= {20503}
    assert len(refused) < MAX_REFUSED
    assert subscriber.doubles == losses.lost == 0
    figures(
        f"publishing through {NAMES[kind]}, one of two workers unreachable",
        again_after="no pause",
        losses=losses,
        publishes_refused=f"{len(refused)} of {PUBLISHES}",
        slowest_publish=f"{max(one.took for one in publisher.attempts):.1f} s",
    )


async def test_nginx_responds_in_json_when_no_worker_does(
    redis_server: RedisServer, start_worker: StartWorker, start_front: StartFront
) -> None:
    worker = await asyncio.to_thread(start_worker, REDIS_URL=redis_server.url)
    front = await asyncio.to_thread(start_front, worker)
    url = f"{front.base_url}/v1/Services/default/Streams/demo/Messages"
    assert (await post(url, '{"n": 1}'))[0] == 201

    await asyncio.to_thread(redis_server.kill)
    await until_ready(worker, 503)
    unreachable = await post(url, '{"n": 2}')
    await asyncio.to_thread(worker.stop)
    down = await post(url, '{"n": 3}')

    assert unreachable == down == (503, "application/json", BODY)


async def test_only_unpublished_messages_are_retried_elsewhere(
    redis_server: RedisServer, start_worker: StartWorker
) -> None:
    worker = await asyncio.to_thread(start_worker, REDIS_URL=redis_server.url)
    async with (
        Publisher(worker.base_url, "demo", headers=ASKED_BY_FRONT) as front,
        Publisher(worker.base_url, "demo") as client,
    ):
        assert (await front.publish()).status == 201
        redis_server.freeze()
        # It was sent to Redis, which may still execute it.
        sent = await front.publish()
        await until_ready(worker, 503)
        unsent, plain = await front.publish(), await client.publish()

    assert (sent.status, sent.code) == (503, 20503)
    assert (unsent.status, unsent.code) == (502, 20503)
    assert (plain.status, plain.code) == (503, 20503)
