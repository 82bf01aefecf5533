"""What holds on every road: size, rate, names, expiry, removal, delivery."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.utils import timezone

from sync_streams import lookups
from sync_streams.models import Stream
from sync_streams.sids import is_sid, new_stream_sid
from sync_streams.testing import Subscriber

from .roads import ROADS, Refused, Road, open_road

pytestmark = pytest.mark.django_db(transaction=True)

LARGEST = {"x": "y" * (4096 - len('{"x":""}'))}
TOO_LARGE = {"x": "y" * (4097 - len('{"x":""}'))}


@pytest.fixture(params=ROADS)
async def road(request: pytest.FixtureRequest) -> AsyncIterator[Road]:
    lookups.forget_services()
    async with open_road(request.param) as road:
        yield road


def is_not_found(refused: Refused) -> bool:
    """REST has one code for whatever is missing, the others tell more."""
    return refused.status == 404 and refused.code in {20404, 54250, 54300}


async def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(Refused) as caught:
        await call
    return caught.value.status, caught.value.code


async def test_what_is_published_reaches_a_subscriber(road: Road) -> None:
    sid = await road.create("news")

    async with Subscriber("news", identity="bob") as bob:
        message_sid = await road.publish("news", {"é": [1, {"b": None}], "c": 1.5})
        assert await bob.receive() == {"é": [1, {"b": None}], "c": 1.5}

    assert is_sid(sid, "TO")
    assert is_sid(message_sid, "TZ")


async def test_a_stream_is_found_by_sid_and_by_name(road: Road) -> None:
    sid = await road.create("a name % ? # +")

    await road.publish(sid, {})
    await road.publish("a name % ? # +", {})


async def test_4096_bytes_pass_and_4097_do_not(road: Road) -> None:
    await road.create("news")

    await road.publish("news", LARGEST)

    assert len(json.dumps(LARGEST, separators=(",", ":"))) == 4096
    assert await refusal(road.publish("news", TOO_LARGE)) == (413, 54006)


@pytest.mark.parametrize("data", [[1], 5, True, [{}]])
async def test_data_that_is_no_object_is_refused(road: Road, data: object) -> None:
    await road.create("news")

    assert await refusal(road.publish("news", data)) == (400, 54008)


async def test_no_data_is_refused(road: Road) -> None:
    await road.create("news")

    assert await refusal(road.publish("news", None)) == (400, 54251)


async def test_the_31st_message_within_the_window_is_refused(
    road: Road, settings: Any
) -> None:
    settings.SYNC_STREAMS = {
        **settings.SYNC_STREAMS,
        "PUBLISH_RATE": 1,
        "PUBLISH_WINDOW_SECONDS": 30,
    }
    await road.create("news")

    for number in range(30):
        await road.publish("news", {"n": number})

    assert await refusal(road.publish("news", {})) == (429, 54009)


@pytest.mark.parametrize("ref", ["nobody", new_stream_sid()])
async def test_a_missing_stream_is_not_found(road: Road, ref: str) -> None:
    with pytest.raises(Refused) as caught:
        await road.publish(ref, {})

    assert is_not_found(caught.value)


@pytest.mark.parametrize("name", ["x" * 321, "TO" + "0" * 32])
async def test_a_bad_name_is_refused(road: Road, name: str) -> None:
    status, code = await refusal(road.create(name))

    # The JSON socket takes what looks like a SID for one, and finds nothing there.
    assert (status, code) in {(400, 54302), (404, 54250)}


async def test_a_name_of_320_characters_is_taken(road: Road) -> None:
    assert is_sid(await road.create("x" * 320), "TO")


@pytest.mark.parametrize(("ttl", "is_taken"), [(31_536_000, True), (31_536_001, False)])
async def test_a_ttl_ends_at_a_year(road: Road, ttl: int, is_taken: bool) -> None:
    if is_taken:
        await road.create("news", ttl)
    else:
        assert await refusal(road.create("news", ttl)) == (400, 54011)


async def test_a_removed_stream_is_gone_and_its_subscribers_hear_of_it(
    road: Road,
) -> None:
    sid = await road.create("news")
    await road.publish("news", {})

    await road.remove("news")

    with pytest.raises(Refused) as caught:
        await road.publish(sid, {})
    assert is_not_found(caught.value)
    assert await road.create("news") != sid


async def test_a_lapsed_stream_is_gone_and_its_name_free(road: Road) -> None:
    sid = await road.create("news", 3600)
    await Stream.objects.filter(sid=sid).aupdate(date_expires=timezone.now())
    lookups.forget_stream(sid)

    with pytest.raises(Refused) as caught:
        await road.publish("news", {})

    assert is_not_found(caught.value)
    assert await road.create("news") != sid
