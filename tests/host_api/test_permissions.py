"""Who may do what: the AUTHORIZE hook and ``acl_enabled``."""

import asyncio

import pytest
from django.contrib.auth.models import Group, User

from sync_streams import operations
from sync_streams.errors import AccessForbidden
from sync_streams.models import Service, Stream
from sync_streams.operations.actor import Actor
from sync_streams.testing import Refused, Subscriber
from sync_streams.tokens import issue_token
from tests.host_api import hooks
from tests.overrides import Override
from tests.settings import ACCOUNT_SID

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = Actor("alice", "connection-1")
BOB = Actor("bob", "connection-2")


@pytest.fixture
def stream(service: Service) -> Stream:
    return operations.create_stream(service, unique_name="alice:1")


def authorize_by(override: Override, hook: str) -> None:
    override(AUTHORIZE=f"tests.host_api.hooks.{hook}")


def test_everything_is_allowed_without_a_hook(service: Service) -> None:
    operations.create_stream(service, unique_name="x", actor=ALICE)
    operations.publish(service, "x", {}, actor=BOB)
    operations.update_stream(service, "x", ttl=60, actor=BOB)
    operations.remove_stream(service, "x", actor=BOB)


def test_hook_by_name_opens_ones_own_streams_only(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "by_name")

    operations.publish(service, "alice:1", {}, actor=ALICE)
    operations.create_stream(service, unique_name="alice:2", actor=ALICE)
    operations.remove_stream(service, "alice:2", actor=ALICE)
    with pytest.raises(AccessForbidden):
        operations.publish(service, "alice:1", {}, actor=BOB)
    with pytest.raises(AccessForbidden):
        operations.create_stream(service, unique_name="alice:2", actor=BOB)
    with pytest.raises(AccessForbidden):
        operations.create_stream(service, actor=ALICE)
    with pytest.raises(AccessForbidden):
        operations.remove_stream(service, "alice:1", actor=BOB)
    with pytest.raises(AccessForbidden):
        operations.open_stream(service, "alice:1", actor=BOB)


def test_new_ttl_needs_the_right_to_remove(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "by_name")

    operations.update_stream(service, "alice:1", ttl=60, actor=ALICE)
    with pytest.raises(AccessForbidden):
        operations.update_stream(service, "alice:1", ttl=1, actor=BOB)


def test_hook_by_group_asks_the_database(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "by_group")
    User.objects.create(username="alice").groups.add(
        Group.objects.create(name="publishers")
    )

    operations.publish(service, "alice:1", {}, actor=ALICE)
    operations.open_stream(service, "alice:1", actor=BOB)
    with pytest.raises(AccessForbidden):
        operations.publish(service, "alice:1", {}, actor=BOB)


REFUSING = ["failing", "failing_later", "denying", "denying_object", "no_such_hook"]


@pytest.mark.parametrize("hook", REFUSING)
def test_hook_that_fails_refuses(
    override: Override, service: Service, stream: Stream, hook: str
) -> None:
    authorize_by(override, hook)

    with pytest.raises(AccessForbidden) as refusal:
        operations.publish(service, "alice:1", {}, actor=ALICE)

    assert (refusal.value.status, refusal.value.code) == (403, 54007)


@pytest.mark.parametrize("hook", REFUSING)
async def test_hook_that_fails_refuses_asynchronous_callers(
    override: Override, service: Service, stream: Stream, hook: str
) -> None:
    authorize_by(override, hook)

    with pytest.raises(AccessForbidden):
        await operations.apublish(service, "alice:1", {}, actor=ALICE)


def test_account_credentials_are_never_asked(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "denying")

    operations.publish(service, "alice:1", {})
    operations.publish(service, "alice:1", {}, actor=Actor("alice"))


def test_token_identity_named_system_is_not_the_system(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "denying")

    with pytest.raises(AccessForbidden):
        operations.publish(service, "alice:1", {}, actor=Actor("system", "connection"))


async def test_sockets_are_refused_with_54007(
    override: Override, stream: Stream
) -> None:
    authorize_by(override, "by_name")

    async with Subscriber("alice:1", identity="alice") as alice:
        await alice.publish({"n": 1})
    with pytest.raises(Refused) as refusal:
        async with Subscriber("alice:1", identity="bob"):
            pass

    assert refusal.value.code == 54007


@pytest.mark.parametrize(
    ("identity", "name", "is_allowed"),
    [
        ("al", "al:1", True),
        ("al", "al:", True),
        ("al", "al", False),
        ("al", "al-ice:1", False),
        ("al", "alice:1", False),
        ("al:ice", "al:ice:1", False),
        ("*", "alice:1", False),
        ("?????", "alice:1", False),
        ("[a-z]*", "alice:1", False),
        ("alice", "Alice:1", False),
        ("alice", None, False),
    ],
)
def test_hook_by_name_compares_names_as_a_whole(
    identity: str, name: str | None, is_allowed: bool
) -> None:
    assert hooks.by_name(identity, "create", name) is is_allowed
    assert hooks.by_name(identity, "subscribe", Stream(unique_name=name)) is is_allowed


async def test_observers_are_not_asked_for(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "denying")
    observer = Subscriber("alice:1")
    observer._token = issue_token("admin:root", service.sid, is_observer=True)

    async with observer:
        await observer.publish({"n": 1})

        assert await observer.receive() == {"n": 1}


async def test_unsubscribing_reveals_no_sid_without_permission_to_fetch(
    override: Override, stream: Stream
) -> None:
    async with Subscriber("alice:1", identity="alice") as alice:
        authorize_by(override, "denying")
        # She is subscribed the first time, so she knows it; the second time she is not.
        answer = await alice._ask("unsubscribe", stream="alice:1")
        assert answer["stream_sid"] == stream.sid

        with pytest.raises(Refused) as refusal:
            await alice._ask("unsubscribe", stream="alice:1")

    assert refusal.value.code == 54007


async def test_asynchronous_hook_is_asked_for_each_action(
    override: Override, stream: Stream
) -> None:
    authorize_by(override, "asynchronous")
    hooks.asked.clear()

    with pytest.raises(Refused) as refusal:
        async with Subscriber("alice:1", identity="alice") as alice:
            await alice.publish({"n": 1})

    assert refusal.value.code == 54007
    assert hooks.asked == [
        ("alice", "subscribe", "alice:1"),
        ("alice", "publish", "alice:1"),
    ]


async def test_asynchronous_hook_of_a_publish_costs_no_thread(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "asynchronous")
    hooks.tasks.clear()

    with pytest.raises(AccessForbidden):
        await operations.apublish(service, "alice:1", {}, actor=ALICE)

    assert hooks.tasks == [asyncio.current_task()]


def test_asynchronous_hook_serves_synchronous_callers(
    override: Override, service: Service, stream: Stream
) -> None:
    authorize_by(override, "asynchronous")

    operations.remove_stream(service, "alice:1", actor=ALICE)


def test_acl_leaves_creation_to_account_credentials(service: Service) -> None:
    stale = operations.get_service(ACCOUNT_SID, "default")
    operations.update_service(service, acl_enabled=True)

    with pytest.raises(AccessForbidden):
        operations.create_stream(stale, unique_name="x", actor=ALICE)
    operations.create_stream(service, unique_name="x")
    operations.publish(service, "x", {}, actor=ALICE)
