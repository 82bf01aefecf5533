"""Inbound budgets of a socket, at both edges, on each server class."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from django.test import override_settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sync_streams.connections.close_codes import CloseCode
from sync_streams.connections.inbound import (
    BYTES_BEFORE_TOKEN,
    FRAMES_BEFORE_TOKEN,
    MAX_CONTROL_FRAMES,
    MAX_FRAGMENTS,
    InboundBudget,
)
from sync_streams.tokens import issue_token
from tests.clients.raw import RawSocket, frame, text

SECONDS = 30


def token() -> str:
    return issue_token("alice", "default")


@pytest.mark.parametrize("is_client", [False, True], ids=["nobody", "client"])
@pytest.mark.parametrize(
    "data",
    [frame(9) * 500, frame(10) * 500, frame(0, b"x", is_final=False) * 500],
    ids=["pings", "pongs", "fragments"],
)
async def test_a_flood_of_control_frames_ends_the_connection(
    port: int, data: bytes, is_client: bool
) -> None:
    async with RawSocket(port, token=token() if is_client else "") as flooder:
        flooder.send(frame(1, b"x", is_final=False))
        await flooder.pour(data)


async def test_a_socket_without_a_token_sends_a_limited_number_of_frames(
    port: int,
) -> None:
    async with RawSocket(port) as quiet:
        quiet.send(frame(10) * (FRAMES_BEFORE_TOKEN - 1))
        assert await quiet.is_open()

    async with RawSocket(port) as loud:
        loud.send(frame(10) * FRAMES_BEFORE_TOKEN)
        assert not await loud.is_open()


async def test_a_socket_without_a_token_sends_a_limited_number_of_bytes(
    port: int,
) -> None:
    begun = frame(1, b"x" * 60_000)
    ping = len(frame(9, b"there?"))

    async with RawSocket(port) as quiet:
        whole = frame(1, b"x" * (BYTES_BEFORE_TOKEN - ping - 8))
        assert len(whole) == BYTES_BEFORE_TOKEN - ping
        quiet.send(whole)
        assert await quiet.is_open()

    async with RawSocket(port) as loud:
        loud.send(begun[: BYTES_BEFORE_TOKEN + 1])
        await loud.reader.read(1000)
        assert not await loud.is_open()


async def test_a_flooding_client_can_read_the_reason(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/v1/websocket") as client:
        for _ in range(FRAMES_BEFORE_TOKEN + 1):
            await client.pong()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), SECONDS)
    assert client.close_code == CloseCode.TOO_MANY_FRAMES


async def test_a_handshake_on_an_unknown_path_is_refused(port: int) -> None:
    # That it leaves no traceback in the log is asserted where the server ends.
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{port}/elsewhere")
    assert refused.value.response.status_code == 403


async def test_fragments_of_a_message_are_limited(port: int) -> None:
    parts = text(type="ping", id=1)[6:]
    begin = frame(1, parts[:1], is_final=False)
    middle = frame(0, b" ", is_final=False)

    async with RawSocket(port, token=token()) as client:
        client.send(begin + middle * (MAX_FRAGMENTS - 2) + frame(0, parts[1:]))
        await client.until(b'"pong"')
        client.send(begin + middle * (MAX_FRAGMENTS + 1))
        assert not await client.is_open()


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/v1/websocket") as client:
        yield client


async def test_a_healthy_client_with_many_requests_in_one_packet_is_served(
    port: int,
) -> None:
    requests = [text(type="ping", id=number) for number in range(200)]

    async with RawSocket(port) as client:
        connecting = text(type="connect", id=1, token=token())
        client.send(connecting + b"".join(requests))
        for _ in requests:
            await client.until(b'"pong"')


def test_an_accepted_token_raises_the_budget_in_each_window() -> None:
    budget = InboundBudget()
    values = {"MAX_FRAMES_PER_SECOND": 5, "MAX_BYTES_PER_SECOND": 100}
    with override_settings(SYNC_STREAMS=values):
        assert budget.spend(frames=FRAMES_BEFORE_TOKEN)
        assert not budget.spend(frames=1)
        budget.raise_for_token()
        assert budget.spend(frames=20, size=200)
        assert not budget.spend(frames=1)
        budget.refund()
        assert budget.spend()
        assert not budget.spend(size=1)


def test_pings_and_pongs_have_a_lower_limit() -> None:
    budget = InboundBudget()
    budget.raise_for_token()

    assert budget.spend(frames=MAX_CONTROL_FRAMES, control=MAX_CONTROL_FRAMES)
    assert budget.spend(frames=1)
    assert not budget.spend(frames=1, control=1)
