"""The cost of a Message for Redis, and for a process that receives it from Redis.

Redis reports its own CPU time, so the rate of requests does not matter.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import redis.asyncio
from channels_redis.pubsub import RedisPubSubChannelLayer
from websockets.asyncio.client import ClientConnection, connect

from bench import accounts, machine, wire
from bench.plan import Plan
from bench.process import Server
from bench.rows import Row
from sync_streams.redis.scripts import SPEND_AND_PUBLISH

if TYPE_CHECKING:
    from sync_streams.delivery.events import Event

PROCESSES = (1, 4, 16)
MESSAGES = 4000
QUICK_MESSAGES = 1000
AT_ONCE = 50
DELIVERING = "product-frames"
STREAM_SID = "TO" + "b" * 32


def run(plan: Plan) -> Iterator[Row]:
    """Yield Redis' cost by number of processes, and a receiving process's cost."""
    if not plan.redis_url:
        print("skipped: redis: needs redis-server", flush=True)
        return
    count = QUICK_MESSAGES if plan.quick else MESSAGES
    for processes in PROCESSES:
        yield _row(
            f"{processes} process" + ("es" if processes > 1 else ""),
            "redis",
            [
                asyncio.run(_spread(plan.redis_url, processes, count))
                for _ in range(plan.repeats)
            ],
        )
    for contender in plan.contenders("product"):
        if contender.name == DELIVERING:
            values = []
            for _ in range(plan.repeats):
                with contender.start(plan.redis_url) as server:
                    values.append(asyncio.run(_deliver(server, plan.redis_url, count)))
            yield _row("a process receives", contender.name, values)


def _row(case: str, contender: str, values: list[float]) -> Row:
    return Row(
        scenario="redis",
        case=case,
        contender=contender,
        unit="µs of CPU a Message",
        values=values,
        less_is_better=True,
    )


async def _spread(url: str, processes: int, count: int) -> float:
    """Publish within the rate to *processes* subscribers; return Redis' cost."""
    listeners = [RedisPubSubChannelLayer(hosts=[url]) for _ in range(processes)]
    channels = []
    for layer in listeners:
        channels.append(await layer.new_channel())
        await layer.group_add(_group(STREAM_SID), channels[-1])
    publisher = RedisPubSubChannelLayer(hosts=[url])
    channel = f"asgi__group__{_group(STREAM_SID)}"
    payload = publisher.serialize(_event(STREAM_SID))
    async with redis.asyncio.Redis.from_url(url) as client:
        script = await client.script_load(SPEND_AND_PUBLISH.text)

        async def publish(number: int) -> None:
            key = f"rate:{number % AT_ONCE}"
            rate = (key, "1000000", "1000000")
            await client.evalsha(script, 1, *rate, channel, payload, "9e15")

        await _in_turns(publish, AT_ONCE)
        before = await _cpu_seconds(client)
        await _in_turns(publish, count)
        for layer, channel in zip(listeners, channels, strict=True):
            for _ in range(AT_ONCE + count):
                await asyncio.wait_for(layer.receive(channel), 30)
        used = await _cpu_seconds(client) - before
    for layer in [*listeners, publisher]:
        await layer.flush()
    return used / count * 1e6


async def _deliver(server: Server, url: str, count: int) -> float:
    """Publish directly to Redis; return the server's cost to deliver to one socket."""
    layer = RedisPubSubChannelLayer(hosts=[url])
    async with connect(f"ws://127.0.0.1:{server.port}/v1/websocket") as socket:
        await _ask(socket, type="connect", token=accounts.access_token())
        asked = {"type": "subscribe", "stream": "measured", "mode": "open_or_create"}
        stream_sid = (await _ask(socket, **asked))["stream"]["sid"]

        async def publish(_number: int) -> None:
            await layer.group_send(_group(stream_sid), _event(stream_sid))

        before = machine.cpu_seconds(server.pids)
        for _ in range(count // AT_ONCE):
            await _in_turns(publish, AT_ONCE)
            for _ in range(AT_ONCE):
                await asyncio.wait_for(_receive(socket), 30)
        used = machine.cpu_seconds(server.pids) - before
    await layer.flush()
    return used / count * 1e6


async def _receive(socket: ClientConnection) -> dict[str, Any]:
    """Return the next frame, answering and skipping pings."""
    while True:
        frame: dict[str, Any] = json.loads(await socket.recv())
        if frame["type"] != "ping":
            return frame
        await socket.send('{"type":"pong"}')


async def _ask(socket: ClientConnection, **frame: object) -> dict[str, Any]:
    await socket.send(json.dumps({"id": 1, **frame}))
    return await _receive(socket)


async def _in_turns(publish: Callable[[int], Awaitable[None]], count: int) -> None:
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*map(publish, range(start, start + AT_ONCE)))


async def _cpu_seconds(client: redis.asyncio.Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _group(stream_sid: str) -> str:
    # The prefix is the one in bench/settings.py.
    return f"sync_streams.stream.{stream_sid}"


def _event(stream_sid: str) -> dict[str, object]:
    event: Event = {
        "type": "message.published",
        "stream_sid": stream_sid,
        "origin": None,
        "message_sid": "TZ" + "b" * 32,
        "text": wire.compact(wire.stamped_data()).decode(),
    }
    return dict(event)
