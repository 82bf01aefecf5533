"""Bodies of requests to the demo site, whatever their length."""

import pytest

from project.bodies import MAX_BODY_BYTES, BoundedBody, Event

END: Event = {"type": "http.disconnect"}


def part(size: int, *, is_last: bool = False) -> Event:
    return {"type": "http.request", "body": b"a" * size, "more_body": not is_last}


async def handed_on(*events: Event) -> list[Event]:
    """Return what an application hears of these events."""
    coming = iter(events)
    heard: list[Event] = []

    async def receive() -> Event:
        return next(coming)

    async def application(scope: object, receive: object, send: object) -> None:
        assert callable(receive)
        while not heard or heard[-1] != END:
            heard.append(await receive())

    await BoundedBody(application)({}, receive, None)
    return heard


@pytest.mark.parametrize("size", [0, 1, MAX_BODY_BYTES])
async def test_a_body_up_to_the_bound_is_handed_on_whole(size: int) -> None:
    events = [part(size), part(0, is_last=True), END]

    assert await handed_on(*events) == events


async def test_a_longer_body_ends_where_it_passes_the_bound() -> None:
    parts = [part(MAX_BODY_BYTES), part(1), part(1), part(1, is_last=True)]

    assert await handed_on(*parts, END) == [parts[0], part(1, is_last=True), END]
