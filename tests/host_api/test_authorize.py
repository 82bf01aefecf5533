"""Rules for AUTHORIZE: what they allow, and names that try to bypass them."""

from uuid import UUID

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from sync_streams import operations
from sync_streams.authorize import (
    EVERYTHING,
    Rule,
    named_streams,
    own_streams,
    owned_objects,
    with_permission,
)
from sync_streams.errors import AccessForbidden
from sync_streams.models import Stream
from sync_streams.operations.actor import Actor
from sync_streams.testing import Refused, Subscriber
from tests.overrides import sync_settings
from tests.settings import ACCOUNT_SID

MAIL = own_streams("inbox-")


@pytest.mark.parametrize("name", ["inbox-alice", "inbox-alice:", "inbox-alice:a:b"])
def test_ones_own_streams_are_open(name: str) -> None:
    assert MAIL.allows("alice", "subscribe", name)
    assert MAIL.allows("alice", "create", name)
    assert MAIL.allows("alice", "subscribe", Stream(unique_name=name))


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("al", "inbox-al-ice"),
        ("al", "inbox-alice"),
        ("al", "inbox-al ice"),
        ("alice", "inbox-al"),
        ("alice", "inbox-Alice"),
        ("alice", "inbox-alice "),
        ("alice", "inbox-alice\u0301"),
        ("alice", "xinbox-alice"),
        ("alice", "alice"),
        ("alice", "inbox-"),
        ("alice", "inbox-:alice"),
        ("alice", "inbox-bob:alice"),
        ("\uff41lice", "inbox-alice"),  # a wide "a", which NFKC would fold
        ("*", "inbox-alice"),
        (".*", "inbox-alice"),
        ("%", "inbox-alice"),
        ("alice:x", "inbox-alice:x"),  # alice's: her name ends at the separator
        ("", "inbox-"),
        ("", "inbox-:x"),
        ("alice", None),
        ("alice", ""),
    ],
)
def test_other_streams_are_closed(identity: str, name: str | None) -> None:
    assert not MAIL.allows(identity, "subscribe", name)
    assert not MAIL.allows(identity, "subscribe", Stream(unique_name=name))


NAMES = st.text(alphabet="al:-*.ice", min_size=1, max_size=8)


@given(first=NAMES, second=NAMES, name=NAMES)
def test_no_stream_belongs_to_two_identities(
    first: str, second: str, name: str
) -> None:
    owners = {
        identity
        for identity in (first, second)
        if own_streams().allows(identity, "subscribe", name)
    }

    assert len(owners) <= 1


def test_a_separator_is_needed() -> None:
    with pytest.raises(ValueError, match="separator must not be empty"):
        own_streams(separator="")


def test_rules_allow_to_watch_unless_they_say_more() -> None:
    full = own_streams("inbox-", actions=EVERYTHING)

    for action in ("publish", "remove"):
        assert not MAIL.allows("alice", action, "inbox-alice")
        assert full.allows("alice", action, "inbox-alice")


def test_named_streams_are_open_to_all_identities() -> None:
    news = named_streams("news", "weather")

    assert news.allows("alice", "subscribe", "weather")
    assert not news.allows("alice", "subscribe", "new")
    assert not news.allows("alice", "publish", "news")


@pytest.mark.django_db
class TestPermissions:
    rule = with_permission("auth.view_group", "groups")

    def test_users_with_the_permission_are_allowed(self) -> None:
        permission = Permission.objects.get(codename="view_group")
        staff = Group.objects.create(name="staff")
        staff.permissions.add(permission)
        User.objects.create(username="ada").groups.add(staff)
        User.objects.create(username="bob")
        User.objects.create(username="cy", is_active=False).groups.add(staff)
        User.objects.create(username="root", is_superuser=True)

        allowed = [
            identity
            for identity in ("ada", "Ada", "bob", "cy", "root", "nobody", "a\0", "ada ")
            if self.rule.allows(identity, "subscribe", "groups")
        ]

        assert allowed == ["ada", "root"]
        assert not self.rule.allows("ada", "subscribe", "group")
        assert not self.rule.allows("ada", "remove", "groups")

    def test_a_revoked_permission_is_gone_at_once(self) -> None:
        ada = User.objects.create(username="ada")
        ada.user_permissions.add(Permission.objects.get(codename="view_group"))
        assert self.rule.allows("ada", "subscribe", "groups")

        ada.user_permissions.clear()

        assert not self.rule.allows("ada", "subscribe", "groups")


@pytest.mark.django_db
class TestObjects:
    def test_the_streams_of_ones_own_objects_are_open(self) -> None:
        mine, other = (User.objects.create(username=name) for name in ("al", "al-ice"))
        rule = owned_objects("user-", lambda who: User.objects.filter(username=who))

        def reaches(name: object) -> bool:
            return rule.allows("al", "subscribe", f"user-{name}")

        assert reaches(mine.pk)
        spellings = [
            *(f"0{mine.pk}", f"+{mine.pk}", f" {mine.pk}", f"{mine.pk} "),
            *(f"{mine.pk}.0", f"{mine.pk}_", f"-{mine.pk}", f"{mine.pk}:x"),
            *(chr(0x660 + mine.pk % 10), "", "x", "9" * 400, "1\0", "None", "pk"),
        ]
        assert not [name for name in (other.pk, *spellings) if reaches(name)]
        assert not rule.allows("al", "subscribe", f"{mine.pk}")
        assert not rule.allows("al", "publish", f"user-{mine.pk}")

    def test_keys_can_come_from_another_field(self) -> None:
        key = str(UUID(int=7))
        Session.objects.create(session_key=key, expire_date=timezone.now())
        rule = owned_objects("s-", lambda _: Session.objects.all(), field="session_key")

        assert rule.allows("al", "subscribe", f"s-{key}")
        assert not rule.allows("al", "subscribe", f"s-{key.upper()}x")


def test_rules_are_joined() -> None:
    joined = MAIL | named_streams("news")

    assert joined.allows("alice", "subscribe", "inbox-alice")
    assert joined.allows("alice", "subscribe", "news")
    assert not joined.allows("alice", "subscribe", "inbox-bob")


def needs_thread(rule: Rule) -> bool:
    return not iscoroutinefunction(rule)


def test_only_rules_that_ask_the_database_need_a_thread() -> None:
    permitted = with_permission("auth.view_group", "groups")

    assert not needs_thread(MAIL)
    assert not needs_thread(MAIL | named_streams("news"))
    assert needs_thread(permitted)
    assert needs_thread(MAIL | permitted)


def never(identity: str, action: str, name: str) -> bool:
    raise AssertionError((identity, action, name))


def test_the_database_is_asked_last() -> None:
    slow = Rule(never, needs_thread=True)

    assert (slow | MAIL).allows("alice", "subscribe", "inbox-alice")
    assert (MAIL | slow).allows("alice", "subscribe", "inbox-alice")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "rule",
    [MAIL, MAIL | with_permission("auth.view_group", "groups")],
    ids=["on the loop", "in a thread"],
)
def test_operations_ask_a_rule(rule: Rule) -> None:
    service = operations.get_service(ACCOUNT_SID, "default")
    alice = Actor("alice", "connection-1")
    with sync_settings(authorize=rule):
        operations.create_stream(service, unique_name="inbox-alice", actor=alice)
        operations.open_stream(service, "inbox-alice", actor=alice)
        with pytest.raises(AccessForbidden):
            operations.publish(service, "inbox-alice", {}, actor=alice)
        with pytest.raises(AccessForbidden):
            operations.create_stream(service, unique_name="inbox-ali", actor=alice)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "rule",
    [MAIL, MAIL | with_permission("auth.view_group", "groups")],
    ids=["on the loop", "in a thread"],
)
async def test_sockets_ask_a_rule(rule: Rule) -> None:
    service = await operations.afind_service(ACCOUNT_SID, "default")
    await Stream.objects.acreate(
        account_sid=ACCOUNT_SID, service=service, unique_name="inbox-al-ice"
    )
    with sync_settings(authorize=rule):
        async with Subscriber("inbox-al-ice", identity="al-ice") as subscriber:
            with pytest.raises(Refused):
                await subscriber.publish({})
        with pytest.raises(Refused):
            async with Subscriber("inbox-al-ice", identity="al"):
                pass
