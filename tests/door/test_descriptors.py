"""Connections never take the file descriptors that the process itself needs."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from sync_streams.processes import descriptors
from tests.clients.raw import HANDSHAKE, head
from tests.door.attacker import GET
from tests.door.conftest import Served

SECONDS = 20
CROWD = 150
ROOM = 60
"""Descriptors that a server may open in addition to the present ones."""


@contextmanager
def at_most(files: int, pid: int = 0) -> Iterator[None]:
    """Limit the descriptors of a running process; 0 is this one."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def numbers(pid: int) -> list[int]:
    return [int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()]


def test_descriptors_are_scarce_however_their_numbers_are_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An older kernel is asked once a second.
    monkeypatch.setattr(descriptors, "LIST_SECONDS", 0)
    monkeypatch.setattr(descriptors, "_listed", (0, 0.0))
    first = os.open(os.devnull, os.O_RDONLY)
    most = first + 100
    taken = [first]
    try:
        with at_most(most):
            assert not descriptors.are_scarce()
            while taken[-1] < most - 2:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            assert descriptors.are_scarce()
            os.close(taken.pop(0))  # the lowest number is free
            assert descriptors.are_scarce()
    finally:
        for number in taken:
            os.close(number)


def _own(pid: int) -> int:
    """Return how many descriptors of a process are not sockets."""
    links = (str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir())
    return sum(not link.startswith("socket:") for link in links)


@pytest.mark.parametrize("files", [128, 1024])
def test_the_reserve_is_taken_in_three_steps(files: int) -> None:
    kept = files - descriptors.reserve(files) // 4
    last = files - descriptors.reserve(files) // 2
    with at_most(files):
        found = [
            (descriptors.is_last(number), descriptors.is_kept_free(number))
            for number in (last - 1, last, kept - 1, kept)
        ]

    assert found == [(False, False), (True, False), (True, False), (True, True)]


async def test_a_crowd_of_sockets_leaves_the_last_descriptors_free(
    served: Served,
) -> None:
    most = max(numbers(served.pid)) + ROOM
    async with AsyncExitStack() as stack:
        with at_most(most, served.pid):
            answers = await asyncio.gather(
                *(_open(served.port, stack) for _ in range(CROWD))
            )
            taken, own = len(numbers(served.pid)), _own(served.pid)

    assert taken <= most - descriptors.reserve(most) // 4
    assert answers.count(b"101") + own <= most - descriptors.reserve(most) // 2
    assert set(answers) <= {b"101", b"503", b""}


async def test_a_request_is_served_where_no_socket_is_opened(served: Served) -> None:
    """Health checks continue, even while sockets hold all but the reserve."""
    request = head(GET, "Connection: close")
    assert await _ask(served.port, request) == b"401"
    async with AsyncExitStack() as stack:
        for _ in range(ROOM):
            assert await _open(served.port, stack) == b"101"
        taken = max(numbers(served.pid))
        with at_most(_limit_before_last(taken + 1), served.pid):
            answers = [
                await _ask(served.port, data) for data in (head(HANDSHAKE), request)
            ]

    assert answers == [b"503", b"401"]


def _limit_before_last(number: int) -> int:
    """Return a limit with which a number is the first of the reserve's last half."""
    limits = range(number, 2 * number)
    return next(m for m in limits if m - descriptors.reserve(m) // 2 == number)


async def _open(port: int, stack: AsyncExitStack) -> bytes:
    """Open a WebSocket and keep it; return the status of the response."""
    client = stack.enter_context(socket.socket())
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(SECONDS):
        with suppress(ConnectionError):
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, head(HANDSHAKE))
            return (await loop.sock_recv(client, 1000))[9:12]
    return b""


async def _ask(port: int, data: bytes) -> bytes:
    async with AsyncExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, data)
        async with asyncio.timeout(SECONDS):
            return (await loop.sock_recv(client, 1000))[9:12]
