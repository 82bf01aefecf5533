"""The documents on the API for a host project, executed."""

import inspect
import subprocess
import sys
import tomllib
import types
import unittest
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import get_commands, load_command_class
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.test import RequestFactory, TransactionTestCase
from django.urls import resolve

from sync_streams import operations, pytest_plugin
from sync_streams.conf import Settings
from sync_streams.operations.permissions import Action
from sync_streams.publishing import publish
from sync_streams.signals import stream_removed
from sync_streams.testing import PublishedMixin, capture_published
from sync_streams.tokens import read_token
from sync_streams.webhooks.webhook import Webhook
from tests.documents import ROOT, code_block, code_blocks, executed
from tests.host_api import hooks
from tests.settings import ACCOUNT_SID, AUTH_TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def orders() -> str:
    service = operations.get_service(ACCOUNT_SID, "default")
    return operations.create_stream(service, unique_name="orders").sid


def test_receiver_of_webhooks_verifies_them(rf: RequestFactory) -> None:
    space = executed("webhooks", "RequestValidator", AUTH_TOKEN=AUTH_TOKEN)
    view = space["sync_webhook"]
    sent = Webhook(
        url="http://testserver/hook?x=1",
        account_sid=ACCOUNT_SID,
        service_sid="IS",
        parameters={"EventType": "stream_created", "StreamUniqueName": "é &"},
    )
    signature = sent.sign(AUTH_TOKEN)

    def answer(**parameters: str) -> int:
        request = rf.post(
            "/hook?x=1",
            {**sent.parameters, **parameters},
            headers={"X-Twilio-Signature": signature},
        )
        return int(view(request).status_code)

    assert answer() == 204
    assert answer(StreamUniqueName="other") == 403


@pytest.mark.parametrize("name", ["by_group", "by_name"])
def test_hooks_are_those_that_are_tested(name: str) -> None:
    block = code_block("docs/permissions.md", "python", f"def {name}(")

    assert block == inspect.getsource(getattr(hooks, name))


def test_rules_are_as_documented() -> None:
    class Order:
        objects = User.objects

    User.objects.create(pk=7, username="alice")
    source = "docs/permissions.md", "python", "owned_objects("
    block = code_block(*source).replace("customer__username", "username")
    space: dict[str, Any] = {"Order": Order}
    exec(block, space)

    def allowed(identity: str, action: Action, *names: str) -> list[str]:
        return [name for name in names if space["may"].allows(identity, action, name)]

    names = ("inbox-alice", "notes-alice", "news", "shop-orders", "order-7", "order-07")
    assert allowed("alice", "subscribe", *names) == [*names[:3], "order-7"]
    assert allowed("alice", "publish", *names) == ["notes-alice"]
    assert allowed("al", "subscribe", *names) == ["news"]


def test_issue_token_is_as_documented() -> None:
    token = executed("tokens", 'token = issue_token("alice"')["token"]

    assert read_token(token).name == "alice"


def test_view_recipe_gives_tokens_to_users_only(rf: RequestFactory) -> None:
    view = executed("tokens", "def sync_token")["sync_token"]
    request = rf.post("/sync-token/")

    request.user = AnonymousUser()
    assert view(request).status_code == 403
    request.user = User(username="alice")
    assert b"token" in view(request).content
    assert view(rf.get("/sync-token/")).status_code == 405


def test_built_in_view_is_routed_as_documented() -> None:
    space = executed("tokens", "TokenView.as_view")
    module = types.ModuleType("documented_urls")
    module.__dict__["urlpatterns"] = space["urlpatterns"]

    match = resolve("/token/", urlconf=module)  # type: ignore[arg-type] # may be one

    assert match.func.view_initkwargs == {"ttl": 600}  # type: ignore[attr-defined]


def test_accounts_may_come_from_a_cache() -> None:
    loaded: list[int] = []

    def load_accounts() -> dict[str, object]:
        loaded.append(1)
        return {}

    accounts = executed("tokens", "def accounts()", load_accounts=load_accounts)[
        "accounts"
    ]

    assert accounts() == accounts() == {}
    assert loaded == [1]


@pytest.mark.usefixtures("orders")
def test_publish_is_as_documented() -> None:
    assert executed("python-api", "message = publish(")["message"].sid.startswith("TZ")


@pytest.mark.usefixtures("orders")
def test_publish_on_commit_is_as_documented() -> None:
    with capture_published() as published:
        executed("python-api", "save_order()", save_order=lambda: 7)

    assert [one.message.data for one in published] == [{"id": 7}]


def test_try_publish_is_as_documented() -> None:
    with capture_published() as published:
        space = executed("python-api", "if try_publish(")

    assert len(published) == 1
    assert "shown_as" not in space


def test_changes_of_a_model_are_published_as_documented() -> None:
    executed("python-api", "def publish_changes(")["publish_changes"](Group, "groups")
    try:
        with capture_published() as published:
            group = Group.objects.create(name="staff")
            key = group.pk
            with transaction.atomic():
                group.delete()
                assert len(published) == 1
    finally:
        for signal, name in ((post_save, "saved"), (post_delete, "deleted")):
            assert signal.disconnect(sender=Group, dispatch_uid=("groups", name))

    changes = ["saved", "deleted"]
    expected = [{"id": key, "change": change} for change in changes]
    assert [one.message.data for one in published] == expected


def test_operations_are_as_documented() -> None:
    names = {"ACCOUNT_SID": ACCOUNT_SID}
    first = executed("python-api", "UniqueNameTaken", **names)["stream"]
    second = executed("python-api", "UniqueNameTaken", **names)["stream"]

    assert first == second


def test_signals_are_as_documented(orders: str) -> None:
    removed: list[str] = []
    space = executed("python-api", "@receiver(stream_removed)", removed=removed)

    operations.remove_stream(operations.get_service(ACCOUNT_SID, "default"), orders)

    stream_removed.disconnect(space["note"])
    assert removed == ["orders"]


@pytest.mark.usefixtures("orders")
def test_capture_is_as_documented() -> None:
    executed("python-api", "published[0].stream.unique_name")


def order_tea() -> None:
    with transaction.atomic():
        transaction.on_commit(partial(publish, "orders", {"item": "tea"}))


@pytest.mark.parametrize("name", ["OrderViewTest", "OrderTest", "TeaTest"])
def test_test_case_recipes_work(name: str) -> None:
    space = executed("python-api", f"class {name}", order_tea=order_tea)
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(space[name])

    result = unittest.TextTestRunner(verbosity=0).run(tests)

    assert result.testsRun == 1
    assert result.wasSuccessful()


def test_the_fixture_is_there_as_documented(tmp_path: Path) -> None:
    block = code_block("docs/python-api.md", "python", "published_messages")
    (tmp_path / "test_documented.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-p", "sync_streams.pytest_plugin"]
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]

    done = subprocess.run(
        [*command, *options, f"--rootdir={ROOT}", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_finds_the_fixture_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    [module] = project["entry-points"]["pytest11"].values()
    assert module == pytest_plugin.__name__


def test_the_mixin_tells_other_messages_from_those_expected() -> None:
    class Case(PublishedMixin, TransactionTestCase):
        streams = ("orders", "other")

        def runTest(self) -> None:  # noqa: N802 - unittest's name
            publish("orders", {"n": 1})
            publish("other", {"n": 2})
            self.assert_published("orders", {"n": 1})
            self.assert_published(self.published[1].stream.sid, {"n": 2})
            for wrong in ((), ({"n": 2},), ({"n": 1}, {"n": 1})):
                with pytest.raises(AssertionError):
                    self.assert_published("orders", *wrong)

    result = unittest.TextTestRunner(verbosity=0).run(Case())

    assert result.wasSuccessful(), result.errors + result.failures


def test_every_command_is_documented_with_its_options() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    ours = [name for name, app in get_commands().items() if app == "sync_streams"]

    assert sorted(ours) == sorted(
        {line.split()[2].strip("`") for line in text.splitlines() if "| `man" in line}
    )
    for name in ours:
        parser = load_command_class("sync_streams", name).create_parser("", name)
        options = {
            option
            for action in parser._actions
            for option in action.option_strings
            if option.startswith("--")
        }
        common = {f"--{one}" for one in DJANGO_OPTIONS}
        assert not [option for option in options - common if option not in text]


DJANGO_OPTIONS = [
    *("help", "version", "verbosity", "settings", "pythonpath", "traceback"),
    *("no-color", "force-color", "skip-checks"),
]


@pytest.mark.parametrize(
    "document", ["webhooks", "permissions", "tokens", "python-api", "commands"]
)
def test_settings_of_the_documents_exist(document: str) -> None:
    names = {name.upper() for name in Settings.__dataclass_fields__}
    text = (ROOT / f"docs/{document}.md").read_text()
    prefixes = ("WEBHOOK_", "REDIS_", "KEEPALIVE_", "EXPIRY_")
    words = {word.strip("`(),.|") for word in text.split()}

    assert {word for word in words if word.startswith(prefixes)} <= names


def test_all_python_is_executed() -> None:
    count = sum(
        len(code_blocks(f"docs/{document}.md", "python"))
        for document in ("webhooks", "permissions", "tokens", "python-api")
    )

    # The remaining ones are the setting AUTHORIZE, with a dotted path of the reader's.
    assert count - 2 == 3 + 3 + 4 + 11
