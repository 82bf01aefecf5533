"""Recipients of event streams: found, limited, reported and disconnected by name."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from sync_streams import operations
from sync_streams.delivery.cluster.listing import Row
from sync_streams.operations import announcements
from sync_streams.operations.actor import Actor
from tests.clients.sse import EventSource
from tests.overrides import sync_settings
from tests.sse.conftest import Site

list_connections = sync_to_async(operations.list_connections)
disconnect = sync_to_async(operations.disconnect_identity)


@pytest.fixture
async def cookie(site: Site, django_user_model: Any) -> str:
    """The session cookie of Ada, who is logged in."""
    user = await django_user_model.objects.acreate(username="ada")
    client: Any = AsyncClient()
    await client.aforce_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


async def rows_of(address: str) -> list[Row]:
    return (await list_connections(address=address)).rows


async def status_of(events: EventSource) -> int:
    async with events:
        return int(events.answer.status)


async def test_a_users_event_stream_is_listed_and_disconnected_by_user_name(
    site: Site, cookie: str
) -> None:
    async with site.open("/mine", Cookie=cookie) as events:
        [row] = (await list_connections(identity="ADA")).rows
        assert (row["identity"], row["subscriptions"]) == ("ada", 1)
        assert row["protocol"] == "Server-Sent Events"

        assert await disconnect(site.service, "ada") == 1

        event = await events.next()
        with pytest.raises(EOFError):
            await events.next()
    assert event.name == "closing"
    assert event.json == {
        "code": 4007,
        "reason": "disconnected",
        "reconnect_after": None,
    }
    assert int(event.retry) == 24 * 60 * 60 * 1000


async def test_a_view_may_name_the_recipient_itself(site: Site, cookie: str) -> None:
    async with site.open("/named/kiosk-7") as events:
        assert events.answer.status == 200
        async with site.open("/named/kiosk-8", Cookie=cookie):
            names = {row["identity"] for row in (await list_connections()).rows}
        assert await disconnect(site.service, "kiosk-7") == 1

    assert names == {"kiosk-7", "kiosk-8"}


async def test_a_public_event_stream_is_listed_without_a_name_and_ended_alone(
    site: Site,
) -> None:
    async with site.open("/public") as first, site.open("/public"):
        rows = await rows_of("127.")
        assert [row["identity"] for row in rows] == ["", ""]
        assert {row["subscriptions"] for row in rows} == {2}

        oldest = min(rows, key=lambda row: row["since"])["id"]
        assert await disconnect(site.service, "", connection_id=oldest) == 1

        assert (await first.next()).json["code"] == 4007
        with pytest.raises(EOFError):
            await first.next()
        assert len(await rows_of("127.")) == 1


async def test_connections_of_a_user_are_limited_as_those_of_an_identity_are(
    site: Site, cookie: str
) -> None:
    with sync_settings(max_connections_per_identity=1):
        async with site.open("/mine", Cookie=cookie), site.open("/public"):
            assert await status_of(site.open("/mine", Cookie=cookie)) == 429
            assert await status_of(site.as_identity("board")) == 200
            assert await status_of(site.open("/public")) == 200


@pytest.mark.parametrize("kind", ["address", "account"])
async def test_connections_without_a_name_are_limited_by_address_and_account(
    site: Site, cookie: str, kind: str
) -> None:
    with sync_settings(**{f"max_connections_per_{kind}": 2}):
        refused = site.open("/mine", Cookie=cookie)
        async with site.open("/public"), site.rest("board"), refused:
            assert refused.answer.status == 429
            told = (await refused.answer.json())["message"]

    assert told == f"Too many connections of this {kind}"


async def test_a_user_who_comes_and_goes_is_reported_as_reachable(
    site: Site, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, Actor]] = []

    def listen(change: str, _: object, actor: Actor) -> None:
        told.append((change, actor))

    monkeypatch.setattr(announcements, "endpoint_listeners", [listen])
    async with site.open("/public"), site.open("/mine", Cookie=cookie) as events:
        await disconnect(site.service, "ada")
        assert (await events.next()).name == "closing"
        with pytest.raises(EOFError):
            await events.next()

    assert [change for change, _ in told] == ["connected", "disconnected"]
    first, last = (actor for _, actor in told)
    assert (first.identity, first.transport) == ("ada", "sse")
    assert first == last
    assert first.connection_id
