"""Races: many threads, one winner; on both SQLite and PostgreSQL."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from sync_streams import operations
from sync_streams.errors import (
    ServiceNotFound,
    SyncError,
    UniqueNameNotFound,
    UniqueNameTaken,
)
from sync_streams.models import Service, Stream
from tests.core.conftest import Announced
from tests.settings import ACCOUNT_SID

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 10


@pytest.fixture(
    autouse=True,
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def database(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[None]:
    if request.param == "sqlite":
        yield
        return
    url = request.getfixturevalue("postgres_url")
    sqlite = connections.settings["default"]
    use_database({**sqlite, "OPTIONS": {}, **dj_database_url.parse(url)})
    call_command("migrate", verbosity=0)
    assert connections["default"].vendor == "postgresql"
    yield
    Service.objects.all().delete()
    use_database(sqlite)


def use_database(settings: Any) -> None:
    """Let this thread, and all that are started from now on, use another database."""
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = settings


def race(operation: Callable[[], object]) -> Counter[str]:
    """Call it in many threads at once; count the results by type."""
    barrier = Barrier(THREADS)
    outcomes: list[str] = []

    def run() -> None:
        try:
            barrier.wait()
            outcomes.append(type(operation()).__name__)
        except SyncError as error:
            outcomes.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(outcomes)


def test_one_of_many_creates_a_name(service: Service, announced: Announced) -> None:
    outcomes = race(lambda: operations.create_stream(service, unique_name="news"))

    assert outcomes == {"Stream": 1, UniqueNameTaken.__name__: THREADS - 1}
    assert announced == [("created", "news")]


def test_one_of_many_takes_over_an_expired_name(
    service: Service, announced: Announced
) -> None:
    Stream.objects.create(
        service=service,
        account_sid=ACCOUNT_SID,
        unique_name="news",
        date_expires=timezone.now() - timedelta(seconds=1),
    )

    outcomes = race(lambda: operations.create_stream(service, unique_name="news"))

    assert outcomes == {"Stream": 1, UniqueNameTaken.__name__: THREADS - 1}
    assert announced == [("removed", "news"), ("created", "news")]


def test_one_of_many_removes_a_stream(
    service: Service, stream: Stream, announced: Announced
) -> None:
    outcomes = race(lambda: operations.remove_stream(service, "news"))

    assert outcomes == {"NoneType": 1, UniqueNameNotFound.__name__: THREADS - 1}
    assert announced == [("removed", "news")]


def test_one_of_many_removes_a_service(service: Service, announced: Announced) -> None:
    for name in ["a", "b"]:
        operations.create_stream(service, unique_name=name)
    announced.clear()

    def remove() -> None:
        operations.remove_service(Service.objects.get(sid=service.sid))

    outcomes = race(lambda: ignore_missing(remove))

    assert outcomes["NoneType"] == 1
    assert sorted(announced) == [("removed", "a"), ("removed", "b")]


def ignore_missing(remove: Callable[[], None]) -> None:
    try:
        remove()
    except Service.DoesNotExist:
        raise ServiceNotFound from None


def test_many_ask_for_the_default_service_and_get_the_same() -> None:
    sids: set[str] = set()

    def ask() -> None:
        sids.add(operations.get_service(ACCOUNT_SID, "default").sid)

    outcomes = race(ask)

    assert outcomes == {"NoneType": THREADS}
    assert len(sids) == 1
    assert Service.objects.count() == 1


def test_many_sweepers_announce_each_expired_stream_once(
    service: Service, announced: Announced
) -> None:
    past = timezone.now() - timedelta(seconds=1)
    count = operations.EXPIRY_BATCH + 100
    Stream.objects.bulk_create(
        [
            Stream(
                service=service,
                account_sid=ACCOUNT_SID,
                unique_name=str(number),
                date_expires=past,
            )
            for number in range(count)
        ]
    )
    removed: list[int] = []

    race(lambda: removed.append(operations.expire_streams()))
    removed.append(operations.expire_streams())

    assert sum(removed) == count
    assert Counter(announced) == {
        ("removed", str(number)): 1 for number in range(count)
    }


def test_streams_created_while_the_service_goes_do_not_stay(service: Service) -> None:
    remover = Thread(target=lambda: close_after(operations.remove_service, service))
    remover.start()
    outcomes = race(lambda: operations.create_stream(service))
    remover.join()

    assert set(outcomes) <= {"Stream", ServiceNotFound.__name__}
    assert not Stream.objects.exists()


def close_after(operation: Callable[[Service], None], service: Service) -> None:
    try:
        operation(service)
    finally:
        connections.close_all()
