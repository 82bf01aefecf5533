"""Checklist C20 to C34: how Streams are opened and created."""

import asyncio

import pytest

from tests.compat.twilio_sync.rig import (
    Rig,
    all_versions_at_once,
    every_version,
    new_name,
)
from tests.compat.twilio_sync.sdk import SdkError


@every_version
async def test_c20_unknown_name_is_looked_up_then_created(rig: Rig) -> None:
    name, client = new_name(), await rig.client()

    stream = await client.stream(name)

    assert rig.wire.requests()[:2] == [f"GET /v3/Streams/{name}", "POST /v3/Streams"]
    [missing] = rig.wire.replies("GET")
    [created] = rig.wire.replies("POST /v3/Streams")
    assert (missing.http_status, missing.body["code"]) == (404, 54300)
    assert missing.frame.header["status"]["code"] == 200
    assert created.http_status == 201
    assert created.body["sid"] == stream.sid
    assert (stream.sid[:2], stream.unique_name) == ("TO", name)


async def test_c21_second_client_finds_the_stream(rig: Rig) -> None:
    name = new_name()
    first = await (await rig.client()).stream(name)

    second = await (await rig.client("bob")).stream(name)

    assert second.sid == first.sid
    assert rig.wire.requests().count("POST /v3/Streams") == 1


async def test_c22_stream_without_a_name_is_created_at_once(rig: Rig) -> None:
    stream = await (await rig.client()).stream()

    assert stream.unique_name is None
    assert rig.wire.requests()[0] == "POST /v3/Streams"


async def test_c23_create_new_with_a_ttl_says_when_it_expires(rig: Rig) -> None:
    options = {"id": new_name(), "mode": "create_new", "ttl": 600}

    stream = await (await rig.client()).stream(options)

    [created] = rig.wire.replies("POST /v3/Streams")
    assert stream.date_expires is not None
    assert stream.date_expires == created.body["date_expires"]


async def test_c24_create_new_of_a_taken_name_is_refused(rig: Rig) -> None:
    name, client = new_name(), await rig.client()
    await client.stream(name)

    with pytest.raises(SdkError) as refused:
        await client.stream({"id": name, "mode": "create_new"})

    assert (refused.value.status, refused.value.code) == (409, 54301)


async def test_c25_stream_made_over_rest_is_opened_by_name_and_sid(rig: Rig) -> None:
    name, client = new_name(), await rig.client()
    _, made = await rig.rest("POST", "", UniqueName=name)

    by_name = await client.stream({"id": name, "mode": "open_existing"})
    by_sid = await client.stream({"id": made["sid"], "mode": "open_existing"})

    assert by_name.sid == by_sid.sid == made["sid"]


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        pytest.param("no-such-name", 54300, id="c26 name"),
        pytest.param("TO" + "0" * 32, 54250, id="c27 sid"),
    ],
)
async def test_c26_c27_open_existing_of_a_missing_stream_is_not_found(
    rig: Rig, ref: str, code: int
) -> None:
    client = await rig.client()

    with pytest.raises(SdkError) as refused:
        await client.stream({"id": ref, "mode": "open_existing"})

    assert (refused.value.status, refused.value.code) == (404, code)


@every_version
async def test_c28_ten_clients_that_race_for_a_name_share_one_stream(rig: Rig) -> None:
    name = new_name()
    clients = [await rig.client(f"racer-{number}") for number in range(10)]
    for client in clients:
        await client.state("connected")

    streams = await asyncio.gather(*(client.stream(name) for client in clients))

    assert len({stream.sid for stream in streams}) == 1


@pytest.mark.parametrize(
    "suffix",
    [" space", "%", "?x=1", "#f", "+", "a/b", "žluťoučký 🐎", ".", "%2F", "\\"],
)
async def test_c29_any_character_may_stand_in_a_name(rig: Rig, suffix: str) -> None:
    name = new_name() + suffix
    stream = await (await rig.client()).stream(name)

    again = await (await rig.client("bob")).stream(
        {"id": name, "mode": "open_existing"}
    )

    assert stream.unique_name == again.unique_name == name
    assert again.sid == stream.sid


async def test_c30_name_like_a_sid_is_refused(rig: Rig) -> None:
    client = await rig.client()

    with pytest.raises(SdkError) as refused:
        await client.stream({"id": "TO" + "f" * 32, "mode": "create_new"})

    assert (refused.value.status, refused.value.code) == (400, 54302)


@all_versions_at_once
async def test_c31_expired_name_is_created_again(rig: Rig) -> None:
    name, client = new_name(), await rig.client()
    old = await client.stream({"id": name, "mode": "create_new", "ttl": 1})
    await old.wait("removed")
    looked_up = len(rig.wire.replies("GET"))

    new = await (await rig.client("bob")).stream(name)

    assert new.sid != old.sid
    assert len(rig.wire.replies("GET")) - looked_up <= 3


@pytest.mark.parametrize("ttl", [31_536_001, 2**40])
async def test_c32_ttl_out_of_range_is_refused(rig: Rig, ttl: int) -> None:
    client = await rig.client()

    with pytest.raises(SdkError) as refused:
        await client.stream({"id": new_name(), "mode": "create_new", "ttl": ttl})

    assert (refused.value.status, refused.value.code) == (400, 54011)


async def test_c33_two_handles_share_one_subscription(rig: Rig) -> None:
    name, client = new_name(), await rig.client()
    one, two = await client.stream(name), await client.stream(name)
    await rig.wire.subscribed()

    sid = await rig.publish(name, {"x": 1})

    assert await one.message(sid) == await two.message(sid)
    assert len(rig.wire.subscriptions("establish")) == 1


async def test_c34_rest_sees_the_stream_and_who_created_it(rig: Rig) -> None:
    stream = await (await rig.client("carol")).stream(new_name())

    _, seen = await rig.rest("GET", f"/{stream.sid}")

    assert (seen["unique_name"], seen["created_by"]) == (stream.unique_name, "carol")
