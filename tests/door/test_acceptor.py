"""Connections that wait at a port are accepted at once and opened in turn."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, cast

import uvloop

from sync_streams.connections.fairness import has_left
from sync_streams.uvicorn.acceptor import Acceptor, find_listener, is_needed

CROWD = 60
SECONDS = 30
RESET = struct.pack("ii", 1, 0)


class Greeter(asyncio.Protocol):
    """Greets clients, and accepts other waiting connections."""

    opened: list[int]
    turn = 0

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        self.opened.append(Greeter.turn)
        transport.write(b"hello")
        self._acceptor.accept_more(transport, lambda: type(self)(self._acceptor))


async def served(
    connect: Callable[[int], Coroutine[Any, Any, None]],
) -> tuple[list[int], int, Acceptor, asyncio.Server]:
    """Serve connections, and count the iterations needed."""
    Greeter.opened, Greeter.turn = [], 0
    acceptor = Acceptor()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Greeter(acceptor), "127.0.0.1", 0, backlog=CROWD
    )
    port = server.sockets[0].getsockname()[1]
    connecting = asyncio.ensure_future(connect(port))
    while not connecting.done():
        Greeter.turn += 1
        await asyncio.sleep(0)
    if connecting.exception() is not None:
        server.close()
    await connecting
    return Greeter.opened, port, acceptor, server


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, SECONDS))


def test_a_crowd_does_not_take_an_iteration_per_connection() -> None:
    async def crowd(port: int) -> None:
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.socket()) for _ in range(CROWD)]
            for client in clients:
                client.connect(("127.0.0.1", port))  # the kernel's queue takes it
                client.setblocking(False)
            for client in clients:
                assert await loop.sock_recv(client, 10) == b"hello"

    async def main() -> None:
        opened, *_, server = await served(crowd)
        assert len(opened) == CROWD
        assert max(opened) - min(opened) < CROWD // 2
        server.close()

    run(main())


def test_a_port_that_closes_is_forgotten() -> None:
    async def once(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read(5) == b"hello"
        writer.close()

    async def main() -> None:
        _, port, acceptor, server = await served(once)
        [number] = acceptor._ports.values()
        assert number is not None
        assert find_listener("127.0.0.1", port) == number
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
        assert find_listener("127.0.0.1", port) is None
        assert not acceptor._accept_all(number, lambda: Greeter(acceptor))

    run(main())


async def test_an_event_loop_that_accepts_all_is_left_alone() -> None:
    assert not is_needed(asyncio.get_running_loop())


def test_a_listener_on_every_address_is_found() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        assert find_listener("127.0.0.1", port) == listener.fileno()
        assert listener.getsockname()[1] == port  # it is still open
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert find_listener("127.0.0.2", port) is None


def test_clients_that_have_left_are_recognised() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:

        def accepted(*, said: bytes = b"") -> tuple[socket.socket, socket.socket]:
            client = stack.enter_context(
                socket.create_connection(listener.getsockname())
            )
            if said:
                client.sendall(said)
            connection, _ = listener.accept()
            return client, stack.enter_context(connection)

        _, silent = accepted()
        _, asking = accepted(said=b"GET")
        reset_client, reset = accepted(said=b"GET")
        reset_client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        reset_client.close()
        closed_client, closed = accepted()
        closed_client.close()
        half_client, half = accepted(said=b"GET")
        half_client.shutdown(socket.SHUT_WR)

        states = [has_left(one) for one in (silent, asking, reset, closed, half)]
        assert states == [False, False, True, True, False]
        assert asking.recv(3) == b"GET"
