"""Webhooks of a server process, from its first request to its end."""

import time

from tests.clients.rest import SERVICES, post, request
from tests.conftest import StartSite
from tests.settings import AUTH_TOKEN
from tests.webhooks.conftest import Receiver


def environ(**changes: str) -> dict[str, str]:
    return {"SYNC_AUTH_TOKEN": AUTH_TOKEN, "WEBHOOK_ALLOW_PRIVATE": "1", **changes}


def test_server_sweeps_without_any_socket_and_sends_once(
    start_site: StartSite, receiver: Receiver
) -> None:
    site = start_site(**environ())
    sid = post(site, "", WebhookUrl=receiver.url())["sid"]
    created = time.monotonic()

    stream = post(site, f"/{sid}/Streams", UniqueName="x", Ttl=1)

    removed = receiver.parameters()
    assert removed["EventType"] == "stream_removed"
    assert removed["StreamSid"] == stream["sid"]
    assert 1 < time.monotonic() - created < 20
    assert receiver.is_silent(8)


def test_stopping_server_sends_waiting_webhooks(
    start_site: StartSite, receiver: Receiver
) -> None:
    site = start_site(**environ())
    fields = {"WebhookUrl": receiver.url("slow"), "WebhooksFromRestEnabled": "true"}
    sid = post(site, "", **fields)["sid"]
    for _ in range(3):
        post(site, f"/{sid}/Streams")

    assert site.stop() == 0

    assert [receiver.parameters()["EventType"] for _ in range(3)] == [
        "stream_created"
    ] * 3
    assert site.output.count("Traceback") == 0


def test_private_addresses_are_refused_unless_allowed(
    start_site: StartSite, receiver: Receiver
) -> None:
    site = start_site(**environ(WEBHOOK_ALLOW_PRIVATE=""))

    refused = request(site, "POST", SERVICES, WebhookUrl=receiver.url())

    assert refused.json() == {
        "code": 54051,
        "message": "Invalid webhook URL: its address is not public",
        "more_info": "https://www.twilio.com/docs/errors/54051",
        "status": 400,
    }
