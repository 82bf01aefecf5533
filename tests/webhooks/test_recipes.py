"""The recipes for task queues in docs/webhooks.md, with those queues themselves."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import django_tasks
import pytest
from celery import Celery

from sync_streams import operations
from sync_streams.models import Service
from sync_streams.webhooks.sender import DeliveryFailed
from tests.documents import executed
from tests.overrides import Override
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

MAX_TRIES = 9
"""The first one and ``max_retries=8``."""


@pytest.fixture(scope="module")
def celery_recipe() -> Iterator[dict[str, Any]]:
    app = Celery("host", set_as_current=True)
    app.conf.task_always_eager = True
    yield executed("webhooks", "from celery import")
    app.close()


@pytest.fixture
def tasks_recipe(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Tasks run at once, as is Django's default; before 6.0 by the backport."""
    if find_spec("django.tasks") is None:
        monkeypatch.setitem(sys.modules, "django.tasks", django_tasks)
    return executed("webhooks", "from django.tasks import")


@pytest.mark.parametrize("recipe", ["celery_recipe", "tasks_recipe"])
def test_webhooks_go_by_the_queue(
    receiver: Receiver,
    service: Service,
    override: Override,
    request: pytest.FixtureRequest,
    recipe: str,
) -> None:
    sender = request.getfixturevalue(recipe)["sender"]
    override(WEBHOOK_SENDER=sender, WEBHOOK_ALLOW_PRIVATE=True)

    stream = operations.create_stream(service)

    assert receiver.parameters()["StreamSid"] == stream.sid


def test_celery_retries_failures(
    receiver: Receiver, service: Service, celery_recipe: dict[str, Any]
) -> None:
    webhook = {
        "url": receiver.url("500"),
        "account_sid": service.account_sid,
        "service_sid": service.sid,
        "parameters": {"EventType": "stream_created"},
    }

    result = celery_recipe["send_webhook"].delay(webhook)

    assert isinstance(result.result, DeliveryFailed)
    assert [receiver.next()["path"] for _ in range(MAX_TRIES)] == ["/500"] * MAX_TRIES
    assert receiver.is_idle()
