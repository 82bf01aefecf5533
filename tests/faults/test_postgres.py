"""PostgreSQL down, and what must happen only once despite concurrent requests."""

import asyncio
import collections
import math
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import aiohttp
import psycopg
import pytest
from django.utils import timezone

from tests.documents import code_block
from tests.faults.conftest import Figures, StartWorker
from tests.faults.health import ask
from tests.faults.rig import Publisher, Subscriber, account_for, create_until, missed
from tests.faults.scene import under_load
from tests.faults.worker import ACCOUNT, Worker, create_streams, provision, run_django
from tests.programs import PostgresServer, RedisServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.postgres]

OUTAGE_SECONDS = 8
BOUND_SECONDS = 10
RATE = 12
AT_ONCE = 40
FEW = "3"
"""Database connections, fewer than there are threads."""
PATIENT = '{"BROADCAST_TIMEOUT_SECONDS": 20}'
"""Ten times the maximum wait for a database connection."""
FROM_A_PAGE = {"Origin": "https://example.com"}
EXPIRED = 1200

StartOne = Callable[..., Awaitable[Worker]]


@pytest.fixture(scope="module")
def lasting_url() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.url


@pytest.fixture(scope="module")
def lasting(
    redis_url: str, lasting_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """Return a worker that the tests share."""
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": lasting_url}
    folder = tmp_path_factory.mktemp("lasting")
    provision(folder, **urls)
    with Worker(folder, **urls) as worker:
        yield worker


@pytest.fixture
def start(redis_url: str, lasting_url: str, start_worker: StartWorker) -> StartOne:
    """Start a worker beside others, with the servers that the tests share."""

    async def start(**environ: str) -> Worker:
        urls = {"REDIS_URL": redis_url, "DATABASE_URL": lasting_url}
        return await asyncio.to_thread(start_worker, **urls, **environ)

    return start


async def post(worker: Worker, path: str, **fields: str) -> tuple[int, float]:
    """Return the status of a POST and the seconds it took."""
    began = time.monotonic()
    url = f"{worker.base_url}/v1/Services{path}"
    async with (
        aiohttp.ClientSession(headers=ACCOUNT.headers) as session,
        session.post(url, data=fields) as answer,
    ):
        await answer.read()
        return answer.status, time.monotonic() - began


async def create_until_accepted(worker: Worker) -> float:
    """Create Streams until one is accepted and return the moment."""
    while (await post(worker, "/default/Streams"))[0] == 503:
        pass
    return time.monotonic()


def first_after(moment: float, one: Subscriber) -> float:
    """Return when the first later Message arrived; infinity: none has."""
    return min((t for t in one.received.values() if t > moment), default=math.inf)


async def restart_without_a_word(worker: Worker) -> None:
    """Kill a worker and start it again."""
    await asyncio.to_thread(worker.stop, signal.SIGKILL)
    await asyncio.to_thread(worker.start)


async def test_postgres_down_and_a_worker_killed_meanwhile(
    redis_url: str,
    postgres_server: PostgresServer,
    start_worker: StartWorker,
    figures: Figures,
) -> None:
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": postgres_server.url}
    worker, other = [
        await asyncio.to_thread(start_worker, **urls) for _ in range(2)
    ]  # the first one makes the tables
    killed = Subscriber(other.base_url, "demo")
    async with under_load(worker.base_url, 1, RATE, killed) as ([known, _], publisher):
        await known.until(lambda: bool(known.received))
        await asyncio.to_thread(postgres_server.halt)
        down = time.monotonic()
        restart = asyncio.create_task(restart_without_a_word(other))
        refusals = [await post(worker, "/default/Streams") for _ in range(3)]
        await restart
        await asyncio.sleep(OUTAGE_SECONDS - (time.monotonic() - down))
        await asyncio.to_thread(postgres_server.start)
        back = time.monotonic()
        recovered = await create_until_accepted(worker)
        await killed.until(lambda: first_after(back, killed) < math.inf)

    slowest = max(one.took for one in publisher.attempts)
    slowest_refusal = max(took for _, took in refusals)
    assert {status for status, _ in refusals} == {503}
    assert max(slowest, slowest_refusal) < BOUND_SECONDS
    assert publisher.refused(0, recovered) == missed(publisher, known) == []
    assert (known.lost, killed.lost) == (0, 1)
    figures(
        f"PostgreSQL down for {OUTAGE_SECONDS} s, one of two workers killed meanwhile",
        again_after=f"{first_after(back, killed) - back:.1f} s at the one killed",
        losses=publisher.losses,
        sockets_lost=killed.lost,
        creates_again_after=f"{recovered - back:.1f} s",
        slowest_refusal=f"{slowest_refusal:.1f} s",
        publishes_refused=f"0 of {len(publisher.attempts)}",
        slowest_publish=f"{slowest:.1f} s",
    )


async def test_publishers_that_wait_for_redis_hold_no_database_connection(
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    start_worker: StartWorker,
    figures: Figures,
) -> None:
    urls = {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_server.url}
    urls |= {"FAULT_POOL": FEW, "FAULT_SETTINGS": PATIENT}
    worker = await asyncio.to_thread(start_worker, **urls)
    sids = await asyncio.to_thread(create_streams, worker, AT_ONCE)
    async with (
        Subscriber(worker.base_url, "demo"),
        Publisher(worker.base_url, sids[0]) as publisher,
        # Such a request is answered by a view, in a thread.
        Publisher(worker.base_url, "", headers=FROM_A_PAGE) as page,
        aiohttp.ClientSession(headers=ACCOUNT.headers) as session,
    ):
        redis_server.freeze()
        # Each of them is looked up in the database, and then waits for Redis.
        waiting = [
            asyncio.create_task((publisher, page)[number % 2].publish(sid))
            for number, sid in enumerate(sids)
        ]
        began = time.monotonic()
        statuses = []
        for sid in sids:
            url = f"{worker.base_url}/v1/Services/default/Streams/{sid}"
            async with session.get(url) as answer:
                statuses.append(answer.status)
        took = time.monotonic() - began
        still_waiting = sum(not task.done() for task in waiting)
        redis_server.thaw()
        attempts = await asyncio.gather(*waiting)

    # A busy worker asks some of the page's requests to come again.
    assert AT_ONCE / 2 <= still_waiting <= AT_ONCE
    assert {one.status for one in attempts} <= {201, 503}
    assert set(statuses) == {200}
    figures(
        f"{AT_ONCE} publishes wait for a frozen Redis",
        reads_meanwhile=f"{AT_ONCE} of {AT_ONCE}, in {took:.1f} s",
        database_connections=FEW,
    )


async def test_a_locked_table_is_named_in_the_log(
    start: StartOne, lasting_url: str
) -> None:
    worker = await start()
    unknown, path = (
        await asyncio.to_thread(create_streams, worker, 2),
        "/default/Streams",
    )
    with psycopg.connect(lasting_url) as operator:
        operator.execute("LOCK TABLE sync_streams_stream IN ACCESS EXCLUSIVE MODE")
        status, took = await post(worker, f"{path}/{unknown[0]}/Messages", Data="{}")
        await asyncio.to_thread(worker.program.wait_for, "due to lock timeout")
    again = 503
    while again == 503:  # for a second after the failure, the database is not queried
        again, _ = await post(worker, f"{path}/{unknown[1]}/Messages", Data="{}")

    assert (status, again) == (503, 201)
    assert took < BOUND_SECONDS
    assert "database failed: OperationalError" in worker.program.output


FULL = """\
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE OR DELETE ON sync_streams_stream
FOR EACH ROW EXECUTE FUNCTION fail();
"""
FREED = "DROP TRIGGER disk_full ON sync_streams_stream; DROP FUNCTION fail();"


@contextmanager
def no_writes(url: str, fault: str) -> Iterator[None]:
    """Make a database refuse changes as with that fault."""
    with psycopg.connect(url, autocommit=True) as operator:
        if fault == "full":
            operator.execute(FULL)
        else:
            operator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        operator.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            operator.execute("SET default_transaction_read_only = off")
            operator.execute("ALTER SYSTEM RESET default_transaction_read_only")
            operator.execute("SELECT pg_reload_conf()")
            if fault == "full":
                operator.execute(FREED)


@pytest.mark.parametrize("fault", ["full", "read-only"])
async def test_a_read_only_database_stops_no_publisher(
    fault: str, lasting_url: str, lasting: Worker, figures: Figures
) -> None:
    worker, url = lasting, lasting.base_url
    (sid,) = await asyncio.to_thread(create_streams, worker, 1)
    async with Subscriber(url, sid) as known, Publisher(url, sid) as publisher:
        await publisher.publish()
        with no_writes(lasting_url, fault):
            refused = await create_until(worker.base_url, 503)
            told = await ask(worker, "/readyz")
            for _ in range(RATE):
                await publisher.publish()
        await create_until(worker.base_url, 201)
        losses = await account_for(publisher, known)

    assert refused["code"] == 20503
    assert told[0] == 200
    assert [part for part, holds in told[1].items() if not holds] == ["database_writes"]
    assert (await ask(worker, "/readyz"))[1]["database_writes"]
    assert len(publisher.accepted) == len(publisher.attempts)
    figures(
        f"PostgreSQL accepts no writes: {fault}",
        again_after="no pause",
        losses=losses,
        creates="503/20503",
        readyz="200, database_writes false",
    )


def test_queries_and_locks_are_bounded_as_documented(lasting: Worker) -> None:
    documented = code_block("docs/deployment.md", "python", '"pool": {')
    code = (
        "from django.db import OperationalError, connection\n"
        "cursor = connection.cursor()\n"
        "for name in ('lock_timeout', 'statement_timeout'):\n"
        "    cursor.execute(f'SHOW {name}')\n"
        "    print(name + '=' + cursor.fetchone()[0])\n"
        "cursor.execute(\"SET statement_timeout = '10ms'\")\n"
        "try:\n    cursor.execute('SELECT pg_sleep(60)')\n"
        "except OperationalError:\n    print('ended')"
    )
    *options, end = run_django(lasting, code).split()
    assert end == "ended"
    assert " ".join(f"-c {option}" for option in options) in documented


PUBLISH_WHILE_PAUSED = """
import time
from concurrent.futures import ThreadPoolExecutor
import redis
from django.conf import settings
from django.db import connection
from sync_streams.errors import ServiceUnavailable
from sync_streams.publishing import publish

def try_one(sid, is_open):
    if is_open:
        Stream.objects.count()
    began = time.monotonic()
    try:
        publish(sid, {})
    except ServiceUnavailable:
        print(f"{time.monotonic() - began:.1f}", end=" ")

unnamed = Stream.objects.filter(unique_name=None)
sids = list(unnamed.values_list("sid", flat=True))
publish(sids.pop(), {})
connection.close()
server = redis.Redis.from_url(settings.REDIS_URL)
server.client_pause(60_000, all=False)  # scripts
try:
    with ThreadPoolExecutor() as threads:
        for sid, is_open in zip(sids, (False, True)):
            threads.submit(try_one, sid, is_open)
        time.sleep(0.5)
        patient_until, in_use = time.monotonic() + 1, 0
        while in_use != 1 and time.monotonic() < patient_until:
            stats = connection.pool.get_stats()
            in_use = stats["pool_size"] - stats["pool_available"]
        print(in_use, end=" ")
finally:
    server.client_unpause()
"""


def test_a_host_that_publishes_holds_only_the_connection_that_it_opened(
    lasting: Worker, redis_server: RedisServer
) -> None:
    create_streams(lasting, 3)

    environ = {"REDIS_URL": redis_server.url}
    printed = run_django(lasting, PUBLISH_WHILE_PAUSED, **environ).split()

    assert printed[0] == "1"
    assert len(printed) == 3
    assert max(map(float, printed[1:])) < BOUND_SECONDS


async def test_of_many_creations_of_one_name_one_gets_201_and_the_others_409(
    start: StartOne,
) -> None:
    workers = [await start() for _ in range(2)]

    answers = await asyncio.gather(
        *(
            post(workers[number % 2], "/default/Streams", UniqueName="one")
            for number in range(AT_ONCE)
        )
    )

    statuses = collections.Counter(status for status, _ in answers)
    assert statuses == {201: 1, 409: AT_ONCE - 1}


async def test_the_default_service_is_created_once(start: StartOne) -> None:
    workers = [await start() for _ in range(2)]
    run_django(workers[0], "Service.objects.all().delete()")

    answers = await asyncio.gather(
        *(post(workers[number % 2], "/default/Streams") for number in range(AT_ONCE))
    )

    assert {status for status, _ in answers} == {201}
    assert run_django(workers[0], "print(Service.objects.count())") == "1"


def wait_for_removals(workers: list[Worker], count: int) -> None:
    wait_until(lambda: sum(len(worker.removed) for worker in workers) >= count)


async def test_an_expiry_is_announced_once_though_several_sweep(
    start: StartOne,
) -> None:
    settings = '{"EXPIRY_INTERVAL_SECONDS": 0.2}'
    workers = [await start(FAULT_SETTINGS=settings) for _ in range(3)]
    async with (
        Subscriber(workers[0].base_url, "demo"),
        Subscriber(workers[1].base_url, "demo"),
        Subscriber(workers[2].base_url, "demo"),
    ):
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        run_django(
            workers[0],
            "service = Service.objects.get()\n"
            "Stream.objects.bulk_create(Stream(service=service, account_sid="
            f"service.account_sid, date_expires='{past}') for _ in range({EXPIRED}))",
        )
        await asyncio.to_thread(wait_for_removals, workers, EXPIRED)

    removed = [sid for worker in workers for sid in worker.removed]
    assert len(removed) == len(set(removed)) == EXPIRED
    assert run_django(workers[0], "print(Stream.objects.expired().count())") == "0"
