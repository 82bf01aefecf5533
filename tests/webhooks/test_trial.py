"""A test of a Service's endpoint, by an operator in the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from sync_streams import operations
from sync_streams.errors import InvalidWebhookUrl
from sync_streams.models import Service
from tests.admin.conftest import with_permissions
from tests.settings import ACCOUNT_SID
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.django_db


def send_a_test(client: Client, service: Service) -> str:
    url = f"/admin/sync_streams/service/{service.sid}/webhook/"
    return client.post(url, follow=True).content.decode()


def test_trial_is_signed_and_names_the_service(
    receiver: Receiver, service: Service
) -> None:
    failures = operations.try_webhook(service)

    assert failures == []
    assert receiver.parameters() == {
        "AccountSid": ACCOUNT_SID,
        "ServiceSid": service.sid,
        "EventType": "webhook_test",
        "Identity": "system",
    }


@pytest.mark.parametrize("webhook_url", [None, ""])
def test_service_without_an_address_has_nothing_to_try(
    service: Service, webhook_url: str | None
) -> None:
    service.webhook_url = webhook_url

    with pytest.raises(InvalidWebhookUrl):
        operations.try_webhook(service)


def test_operator_sees_a_delivery_and_it_is_logged(
    receiver: Receiver, service: Service
) -> None:
    page = send_a_test(with_permissions("view_service", "change_service"), service)

    assert receiver.parameters()["EventType"] == "webhook_test"
    assert "The test webhook was delivered." in page
    assert LogEntry.objects.get().change_message == "The test webhook was delivered."


@pytest.mark.parametrize(
    ("path", "why"),
    [("500", "refused: 500"), ("302", "refused: 302"), ("hangs-up", "unreachable")],
)
def test_operator_sees_why_it_failed(
    receiver: Receiver, service: Service, path: str, why: str
) -> None:
    operations.update_service(service, webhook_url=receiver.url(path))

    page = send_a_test(with_permissions("view_service", "change_service"), service)

    assert f"The test webhook failed: {why}" in page


def test_trial_is_for_those_who_may_change_services(
    receiver: Receiver, service: Service
) -> None:
    client = with_permissions("view_service", "monitor_stream")
    url = f"/admin/sync_streams/service/{service.sid}/webhook/"

    assert client.post(url).status_code == 403
    change = f"/admin/sync_streams/service/{service.sid}/change/"
    assert url not in client.get(change).content.decode()
    assert receiver.is_idle()


def test_trial_accepts_only_posts(service: Service) -> None:
    client = with_permissions("view_service", "change_service")

    answer = client.get(f"/admin/sync_streams/service/{service.sid}/webhook/")

    assert answer.status_code == 405
