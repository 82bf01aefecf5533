"""Addresses take turns, and the one with most connections makes room for others."""

import asyncio
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import pytest

from sync_streams.connections.fairness import SLICE_SECONDS, Crowd, Turns


@dataclass(frozen=True)
class Connection:
    address: str
    number: int = 0


def work_for(seconds: float) -> None:
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


async def test_work_is_done_at_once_while_there_is_little() -> None:
    done: list[int] = []
    turns = Turns()

    assert turns.run("a", lambda: done.append(1))
    assert done == [1]


async def test_addresses_take_turns_and_each_keeps_its_order() -> None:
    done: list[str] = []
    turns = Turns()
    turns.run("a", lambda: work_for(2 * SLICE_SECONDS))
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        assert not turns.run(name[0], partial(done.append, name))

    assert done == []
    for _ in range(6):
        await asyncio.sleep(0)
    assert done == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_the_loop_does_other_things_between_two_slices() -> None:
    turns = Turns()
    done = 0

    def work() -> None:
        nonlocal done
        work_for(2 * SLICE_SECONDS)
        done += 1

    for _ in range(5):
        turns.run("a", work)
    seen = set()
    while done < 5:
        seen.add(done)
        await asyncio.sleep(0)
    assert seen == {1, 2, 3, 4}


async def test_work_that_fails_does_not_keep_others_from_their_turn() -> None:
    turns, done = Turns(), asyncio.Event()
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise OSError

    turns.run("a", lambda: work_for(2 * SLICE_SECONDS))
    turns.run("a", fail)
    turns.run("b", done.set)
    async with asyncio.timeout(30):
        await done.wait()
    assert [type(failure) for failure in failures] == [OSError]


def test_the_address_with_most_connections_makes_room() -> None:
    crowd: Crowd[Connection] = Crowd()
    crowd.add(Connection("few"))
    many = [Connection("many", number) for number in range(3)]
    for connection in many:
        crowd.add(connection)

    assert crowd.expendable() == many[0]
    crowd.answer(many[0])
    assert crowd.expendable() == many[1]
    crowd.wait(many[0])
    assert crowd.expendable() == many[1]
    for connection in many:
        crowd.answer(connection)
    # None of them is idle, but most are theirs.
    assert crowd.expendable() in many
    for number in range(2):
        crowd.add(Connection("few", number + 1))
    assert crowd.expendable() == Connection("few")


def test_no_connection_is_closed_while_all_wait_for_the_server() -> None:
    crowd: Crowd[Connection] = Crowd()
    proxy = [Connection("proxy", number) for number in range(3)]
    for connection in proxy:
        crowd.add(connection)
        crowd.answer(connection)
    assert crowd.expendable() is None


def test_clients_that_have_left_are_not_counted() -> None:
    crowd: Crowd[Connection] = Crowd()
    assert crowd.expendable() is None
    many = [Connection("many", number) for number in range(2)]
    for connection in (*many, Connection("one")):
        crowd.add(connection)
    for connection in (*many, *many):
        crowd.discard(connection)
    crowd.wait(many[0])

    assert len(crowd) == 1
    assert crowd.expendable() == Connection("one")


@pytest.mark.parametrize("count", [1, 3])
def test_a_crowd_lists_its_connections(count: int) -> None:
    crowd: Crowd[Connection] = Crowd()
    for number in range(count):
        crowd.add(Connection("a", number))

    assert len(set(crowd)) == count
