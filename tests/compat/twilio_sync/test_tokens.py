"""Checklist C80 to C89: the life of an access token."""

import pytest

from tests.compat.twilio_sync.rig import (
    Rig,
    all_versions_at_once,
    every_version,
    new_name,
)
from tests.compat.twilio_sync.sdk import SdkClient, SdkError, SdkStream

SHORT_SECONDS = 3
"""Life of a token that is to expire: given to a client that is ready for it."""


async def open_stream(rig: Rig) -> tuple[SdkClient, SdkStream]:
    """Return a client and its subscribed Stream."""
    client = await rig.client()
    stream = await client.stream(new_name())
    await rig.wire.subscribed()
    return client, stream


async def test_c80_client_is_warned_once_before_its_token_expires(rig: Rig) -> None:
    client = await rig.client(token=rig.token(ttl=170))

    await client.wait("tokenAboutToExpire")
    await client.stream(new_name())

    assert len(client.emitted("tokenAboutToExpire")) == 1
    [warning] = rig.wire.received("client_update")
    assert warning.frame.header["client_update_type"] == "token_about_to_expire"


async def test_c80_client_with_more_than_3_minutes_is_not_warned(rig: Rig) -> None:
    client = await rig.client(token=rig.token(ttl=190))

    await (await client.stream(new_name())).publish({})

    assert client.emitted("tokenAboutToExpire") == []


@all_versions_at_once
async def test_c81_renewed_token_keeps_the_connection(rig: Rig) -> None:
    client, stream = await open_stream(rig)

    first = rig.token(ttl=2 * SHORT_SECONDS)
    await client.update_token(first)
    await client.update_token(rig.token())
    async with rig.peer() as other:
        await other.ask("init", token=first)
        await other.closed()

    await stream.message(await rig.publish(stream.sid, {}))
    assert rig.wire.opened == 1
    assert client.states == ["connecting", "connected"]


async def test_c82_same_token_is_not_sent_again(rig: Rig) -> None:
    token = rig.token()
    client = await rig.client(token=token)
    await client.state("connected")

    await client.update_token(token)

    assert rig.wire.sent("update") == []
    assert client.states == ["connecting", "connected"]


@every_version
@pytest.mark.parametrize(
    "bad",
    ["garbage", "other identity", "expired"],
    ids=["c83 garbage", "c84 other identity", "c85 expired"],
)
async def test_c83_to_c85_bad_renewal_is_denied(rig: Rig, bad: str) -> None:
    tokens = {"other identity": rig.token("bob"), "expired": rig.token(ttl=-10)}
    codes = {"garbage": 20101, "other identity": 51215, "expired": 20104}
    client = await rig.client()
    await client.state("connected")

    with pytest.raises(SdkError) as refused:
        await client.update_token(tokens.get(bad, bad))

    await client.state("denied")
    assert (refused.value.status, refused.value.code) == (400, 51130)
    [update] = rig.wire.sent("update")
    status = (await rig.wire.replied(update)).frame.header["status"]
    assert (status["code"], status["errorCode"]) == (401, codes[bad])
    if bad == "expired":
        await client.wait("tokenExpired")
    assert len(client.emitted("tokenExpired")) == (bad == "expired")


async def test_c84_other_service_is_refused(rig: Rig) -> None:
    grants = {"identity": "alice", "data_sync": {"service_sid": "IS" + "0" * 32}}
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        update = await peer.ask("update", token=rig.token(grants=grants))

    assert update.header["status"]["errorCode"] == 51215


async def open_until_expiry(rig: Rig) -> tuple[SdkClient, SdkStream]:
    """Open a Stream with a token that expires soon, and wait for that."""
    client, stream = await open_stream(rig)
    await client.update_token(rig.token(ttl=SHORT_SECONDS))
    await client.wait("tokenExpired")
    await client.state("denied")
    return client, stream


@all_versions_at_once
async def test_c86_expiry_is_reported_once_and_ends_requests(rig: Rig) -> None:
    client, stream = await open_until_expiry(rig)

    with pytest.raises(SdkError, match="Unable to connect"):
        await stream.publish({})
    assert len(client.emitted("tokenExpired")) == 1
    assert rig.wire.received("close") == []
    assert rig.wire.opened == 2


@all_versions_at_once
async def test_c87_late_renewal_revives_open_streams(rig: Rig) -> None:
    client, stream = await open_until_expiry(rig)

    await client.update_token(rig.token())
    await rig.wire.subscribed(2)

    await stream.message(await rig.publish(stream.sid, {}))


async def renewed_on_expiry(rig: Rig, after_ms: int | None) -> None:
    client, stream = await open_stream(rig)
    await client.renew_on_expiry(rig.token(), after_ms=after_ms)
    await client.update_token(rig.token(ttl=SHORT_SECONDS))

    await client.wait("renewed")
    await rig.wire.subscribed(2)

    await stream.message(await rig.publish(stream.sid, {}))
    assert client.states[-1] == "connected"


@all_versions_at_once
async def test_c88_renewal_by_the_event_of_expiry_works(rig: Rig) -> None:
    await renewed_on_expiry(rig, after_ms=None)


@all_versions_at_once
async def test_c89_renewal_soon_after_the_event_of_expiry_works(rig: Rig) -> None:
    await renewed_on_expiry(rig, after_ms=700)
