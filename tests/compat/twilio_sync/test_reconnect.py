"""Checklist C70 to C79: lost connections, restarts, idle and silent peers."""

import asyncio
import time
from collections.abc import Callable

import pytest

from sync_streams.twilsock import frames
from tests.compat.twilio_sync.rig import (
    Rig,
    all_versions_at_once,
    every_version,
    new_name,
)
from tests.compat.twilio_sync.sdk import documented_retry_policy
from tests.programs import DemoSite

BACK_SECONDS = 8
ATTEMPTS = 6
"""More than an SDK makes in 20 seconds after its own pauses: 1, 2, 4, 8 and 16."""
MOST_HASTE = 0.8
"""An SDK returns up to a fifth sooner than requested."""


async def test_refused_handshake_is_retried(rig: Rig) -> None:
    rig.wire.is_open = False
    client = await rig.client()
    [error] = await client.wait("connectionError")

    rig.wire.is_open = True

    assert error["terminal"] is False
    await client.state("connected")


@all_versions_at_once
async def test_documented_retry_policy_shortens_the_pauses(rig: Rig) -> None:
    rig.wire.is_open = False
    client = await rig.client(retryPolicy=documented_retry_policy())
    errors = await client.wait("connectionError", times=ATTEMPTS)

    rig.wire.is_open = True

    assert not any(error["terminal"] for error in errors)
    await client.state("connected")


@all_versions_at_once
async def test_c70_broken_connection_is_restored_and_delivers(rig: Rig) -> None:
    client = await rig.client()
    stream = await client.stream(new_name())
    await rig.wire.subscribed()

    rig.wire.cut()
    broken_at = time.monotonic()
    await rig.wire.subscribed(2)

    assert time.monotonic() - broken_at < BACK_SECONDS
    await stream.message(await rig.publish(stream.sid, {}))
    assert client.states[:2] == ["connecting", "connected"]


async def test_c71_continuation_token_is_taken_back(rig: Rig) -> None:
    client = await rig.client()
    await client.state("connected")

    rig.wire.cut()
    await client.state("connected", times=2)

    first, second = rig.wire.sent("init")
    issued = (await rig.wire.replied(first)).frame.header["continuation_token"]
    assert second.frame.header["continuation_token"] == issued
    assert (await rig.wire.replied(second)).frame.header["status"]["code"] == 200


@pytest.mark.parametrize("forged", ["forged", "x" * 10_000, 1, {"a": []}, [None]])
async def test_c72_forged_continuation_token_changes_nothing(
    rig: Rig, forged: object
) -> None:
    async with rig.peer() as peer:
        refused = await peer.ask("init", token="garbage", continuation_token=forged)
    # Another connection: soon after a refusal the server closes it.
    async with rig.peer() as peer:
        accepted = await peer.ask("init", token=rig.token(), continuation_token=forged)

    assert refused.header["status"]["code"] == 401
    assert accepted.header["status"]["code"] == 200
    assert accepted.header["continuation_token"] != forged


@all_versions_at_once
async def test_c73_request_made_while_disconnected_is_sent_afterwards(rig: Rig) -> None:
    client = await rig.client()
    stream = await client.stream(new_name())
    left = client.states.count("connected")

    rig.wire.is_open = False
    rig.wire.cut()
    await client.wait_until(lambda: client.states[-1] != "connected")
    publishing = asyncio.create_task(stream.publish({"x": 1}))
    rig.wire.is_open = True

    assert (await publishing).startswith("TZ")
    assert client.states.count("connected") == left + 1
    assert rig.wire.requests().count(f"POST /v3/Streams/{stream.sid}/Messages") == 1


async def test_c74_server_that_is_down_at_first_is_reached_later(rig: Rig) -> None:
    rig.wire.is_open = False
    client = await rig.client()
    opening = asyncio.create_task(client.stream(new_name()))
    await client.wait("connectionError")

    rig.wire.is_open = True

    await (await opening).publish({})


class TestRestart:
    """A server that stops and restarts at the same address."""

    @pytest.fixture
    def site(self, start_site: Callable[..., DemoSite]) -> DemoSite:
        return start_site()

    async def test_c75_streams_outlive_a_restart(self, rigs: list[Rig]) -> None:
        streams = [await (await rig.client()).stream(new_name()) for rig in rigs]
        for rig in rigs:
            await rig.wire.subscribed()

        await asyncio.to_thread(rigs[0].site.restart)

        for rig, stream in zip(rigs, streams, strict=True):
            await rig.wire.subscribed(2)
            await stream.message(await rig.publish(stream.sid, {}))
            assert stream.emitted("removed") == []

    async def test_c76_leaving_server_costs_its_clients_no_error(
        self, rig: Rig
    ) -> None:
        client = await rig.client()
        await client.state("connected")

        rig.wire.is_open = False
        await asyncio.to_thread(rig.site.stop)
        await rig.wire.wait_until(lambda: rig.wire.closed)
        await asyncio.to_thread(rig.site.start)
        rig.wire.is_open = True
        await client.state("connected", times=2)

        assert not [
            error for error in client.emitted("connectionError") if error["terminal"]
        ]
        assert rig.wire.received("close") == []


class TestHerd:
    """A server that closes more connections than another one could accept at once."""

    @pytest.fixture
    def site(self, herd: DemoSite) -> DemoSite:
        return herd

    async def test_offloaded_client_reconnects_when_it_is_asked_to(
        self, rig: Rig
    ) -> None:
        client = await rig.client()
        stream = await client.stream(new_name())
        await rig.wire.subscribed()

        async with rig.peer(), rig.peer():
            stopping = asyncio.create_task(asyncio.to_thread(rig.site.restart))
            await rig.wire.wait_until(lambda: rig.wire.received("close"))
            told_at = time.monotonic()
            rig.wire.is_open = False
            await stopping
            rig.wire.is_open = True
            await client.state("connected", times=2)
            back_after = time.monotonic() - told_at

        [close] = rig.wire.received("close")
        pause = close.body["backoff_policy"]["reconnect_min_ms"] / 1000
        assert close.frame.header["status"]["code"] == 308
        assert 0 <= pause <= 3
        assert pause * MOST_HASTE < back_after
        assert client.states[2:4] == ["disconnecting", "connecting"]
        assert not [
            error for error in client.emitted("connectionError") if error["terminal"]
        ]
        await rig.wire.subscribed(2)
        await stream.message(await rig.publish(stream.sid, {}))


async def kept_alive(rig: Rig) -> None:
    """Be idle for some pings."""
    client = await rig.client()
    stream = await client.stream(new_name())

    await rig.wire.wait_until(lambda: len(rig.wire.received("ping")) >= 4)

    await stream.publish({})
    assert client.states == ["connecting", "connected"]
    assert rig.wire.opened == 1


class TestImpatient:
    """A server with time limits of a second or two."""

    @pytest.fixture
    def site(self, impatient: DemoSite) -> DemoSite:
        return impatient

    async def test_c77_idle_client_is_kept_alive(self, rigs: list[Rig]) -> None:
        await all_versions_at_once(kept_alive)(rigs)

    async def test_c78_silent_client_is_dropped(self, rig: Rig) -> None:
        async with rig.peer() as peer:
            await peer.ask("init", token=rig.token())

            assert frames.decode(await peer.wire.receive()).method == "ping"

            assert await peer.closed() == 4000

    async def test_c79_socket_without_init_is_closed(self, rig: Rig) -> None:
        async with rig.peer() as peer:
            assert await peer.closed() == 4001


class TestBusy:
    """A server that accepts no more connections."""

    @pytest.fixture
    def site(self, busy: DemoSite) -> DemoSite:
        return busy

    @every_version
    async def test_client_of_a_full_server_reconnects_by_itself(self, rig: Rig) -> None:
        async with rig.peer() as peer:
            await peer.ask("init", token=rig.token())
            client = await rig.client()
            [error] = await client.wait("connectionError")

        assert error["terminal"] is False
        assert (error["httpStatusCode"], error["errorCode"]) == (429, 51202)
        await client.state("connected")
