"""Which changes become webhooks, with which parameters; a real receiver checks them."""

import json

import pytest
from django.db import transaction

from sync_streams import operations
from sync_streams.models import Service
from sync_streams.operations.actor import Actor
from sync_streams.webhooks import sender
from tests.overrides import Override
from tests.settings import ACCOUNT_SID
from tests.webhooks.conftest import WAIT_SECONDS, Receiver

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = Actor("alice", "connection-1")


def nothing_came(receiver: Receiver) -> bool:
    return sender.flush(WAIT_SECONDS) and receiver.is_idle()


def test_created_and_removed_streams_send_webhooks_in_order(
    receiver: Receiver, service: Service
) -> None:
    stream = operations.create_stream(service, unique_name="Ünï & co", ttl=60)
    operations.remove_stream(service, stream.sid)

    created, removed = receiver.parameters(), receiver.parameters()
    assert created == {
        "AccountSid": ACCOUNT_SID,
        "ServiceSid": service.sid,
        "EventType": "stream_created",
        "Identity": "system",
        "StreamSid": stream.sid,
        "StreamUniqueName": "Ünï & co",
    }
    assert removed == {**created, "EventType": "stream_removed"}


def test_form_matches_twilios(receiver: Receiver, service: Service) -> None:
    operations.create_stream(service)

    request = receiver.next()

    assert request["type"] == "application/x-www-form-urlencoded"
    assert request["path"] == "/"
    assert "StreamUniqueName" not in request["parameters"]


def test_query_of_the_url_is_kept_and_signed(receiver: Receiver) -> None:
    service = operations.create_service(
        ACCOUNT_SID,
        webhook_url=receiver.url("a%20b?x=1&y=%C3%A9+z#ct=100"),
        webhooks_from_rest_enabled=True,
    )
    operations.create_stream(service)

    request = receiver.next()

    assert request["is_valid"]
    assert request["path"] == "/a%20b?x=1&y=%C3%A9+z"


def test_socket_says_which_endpoint(receiver: Receiver, service: Service) -> None:
    operations.create_stream(service, unique_name="x", actor=ALICE)

    parameters = receiver.parameters()

    assert parameters["Identity"] == "alice"
    assert parameters["EndpointId"] == "connection-1"


def test_rest_changes_send_webhooks_only_if_enabled(
    receiver: Receiver, service: Service
) -> None:
    operations.update_service(service, webhooks_from_rest_enabled=False)
    operations.create_stream(service, unique_name="rest")
    operations.create_stream(service, unique_name="socket", actor=ALICE)

    assert receiver.parameters()["StreamUniqueName"] == "socket"
    assert nothing_came(receiver)


def test_expiry_webhooks_name_the_system(receiver: Receiver, service: Service) -> None:
    operations.update_service(service, webhooks_from_rest_enabled=False)
    stream = operations.create_stream(service, ttl=1)
    assert stream.date_expires is not None

    operations.expire_streams(now=stream.date_expires)

    parameters = receiver.parameters()
    assert parameters["EventType"] == "stream_removed"
    assert parameters["Identity"] == "system"


def test_streams_of_a_removed_service_send_webhooks(
    receiver: Receiver, service: Service
) -> None:
    operations.create_stream(service, unique_name="x")
    receiver.parameters()

    operations.remove_service(service)

    assert receiver.parameters()["EventType"] == "stream_removed"


def test_rolled_back_changes_send_no_webhook(
    receiver: Receiver, service: Service
) -> None:
    with transaction.atomic():
        operations.create_stream(service)
        transaction.set_rollback(True)

    assert nothing_came(receiver)


def test_without_a_url_nothing_is_sent(receiver: Receiver, service: Service) -> None:
    operations.update_service(service, webhook_url=None)
    operations.create_stream(service, actor=ALICE)

    assert nothing_came(receiver)


def test_messages_send_no_webhooks_by_default(
    receiver: Receiver, service: Service
) -> None:
    stream = operations.create_stream(service, unique_name="x")
    receiver.parameters()

    operations.publish(service, stream.sid, {"n": 1}, actor=ALICE)

    assert nothing_came(receiver)


def test_messages_send_webhooks_if_enabled(
    receiver: Receiver, service: Service, override: Override
) -> None:
    stream = operations.create_stream(service, unique_name="x")
    receiver.parameters()
    override(WEBHOOK_MESSAGES=True)

    message = operations.publish(service, stream.sid, {"é": [1, None]}, actor=ALICE)

    parameters = receiver.parameters()
    assert parameters["EventType"] == "stream_message_published"
    assert parameters["MessageSid"] == message.sid
    assert json.loads(parameters["MessageData"]) == {"é": [1, None]}


@pytest.fixture
def stream_sid(service: Service, receiver: Receiver) -> str:
    stream = operations.create_stream(service)
    receiver.parameters()
    return stream.sid


async def test_messages_of_async_code_send_webhooks(
    receiver: Receiver, service: Service, stream_sid: str, override: Override
) -> None:
    override(WEBHOOK_MESSAGES=True)

    await operations.apublish(service, stream_sid, {"n": 1}, actor=ALICE)

    assert receiver.parameters()["MessageData"] == '{"n":1}'
