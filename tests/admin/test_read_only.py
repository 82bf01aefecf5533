"""Access tokens that only permit subscribing."""

from collections.abc import Callable

import jwt
import pytest

from sync_streams import operations
from sync_streams.errors import AccessForbidden
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.tokens import CONTENT_TYPE, issue_token, read_token
from tests.settings import API_KEY_SECRET

LISTENER = Actor("listener", is_read_only=True)


def test_read_only_token_says_so(service: Service) -> None:
    token = issue_token("admin:root", service.sid, is_read_only=True)

    assert read_token(token).is_read_only


def test_token_is_not_read_only_unless_asked_for(service: Service) -> None:
    assert not read_token(issue_token("alice", service.sid)).is_read_only


@pytest.mark.parametrize(
    ("value", "is_read_only"), [(False, False), (True, True), (None, True), (0, True)]
)
def test_only_false_gives_rights_back(
    service: Service, value: object, is_read_only: bool
) -> None:
    token = issue_token("alice", service.sid)
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["grants"]["data_sync"]["read_only"] = value

    changed = jwt.encode(claims, API_KEY_SECRET, headers={"cty": CONTENT_TYPE})

    assert read_token(changed).is_read_only is is_read_only


@pytest.mark.parametrize(
    "operation",
    [
        lambda service, ref: operations.create_stream(service, actor=LISTENER),
        lambda service, ref: operations.update_stream(
            service, ref, ttl=0, actor=LISTENER
        ),
        lambda service, ref: operations.remove_stream(service, ref, actor=LISTENER),
        lambda service, ref: operations.publish(service, ref, {}, actor=LISTENER),
    ],
    ids=["create", "update", "remove", "publish"],
)
def test_read_only_cause_changes_nothing(
    stream: Stream, operation: Callable[[Service, str], object]
) -> None:
    with pytest.raises(AccessForbidden):
        operation(stream.service, stream.sid)


async def test_read_only_cause_publishes_nothing_from_async_code() -> None:
    with pytest.raises(AccessForbidden):
        await operations.apublish(Service(), "board-1", {}, actor=LISTENER)
