"""How webhooks are delivered, and what becomes of those that cannot be."""

import json
import logging
import multiprocessing
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from sync_streams import operations
from sync_streams.models import Service
from sync_streams.operations.validators import check_service_fields
from sync_streams.webhooks import client, dispatcher, sender
from sync_streams.webhooks.dispatcher import Dispatcher
from sync_streams.webhooks.outcomes import Outcomes
from sync_streams.webhooks.sender import DeliveryFailed
from sync_streams.webhooks.webhook import Webhook
from tests.service.overrides import Override
from tests.services import ROOT, free_port
from tests.settings import ACCOUNT_SID, AUTH_TOKEN
from tests.webhooks import hand_over
from tests.webhooks.conftest import WAIT_SECONDS, Receiver

SERVICE_SID = "IS" + "0" * 32
OTHER_SERVICE_SID = "IS" + "1" * 32

SSRF_HOSTS = [
    "127.0.0.1",
    "localhost",
    "0x7f.1",
    "[::ffff:127.0.0.1]",
    "[::1]",
    "0.0.0.0",
    "169.254.169.254",
    "100.64.0.1",
    "[64:ff9b::7f00:1]",
]


def webhook(url: str, *, service_sid: str = SERVICE_SID, n: int = 0) -> Webhook:
    return Webhook(
        url=url,
        account_sid=ACCOUNT_SID,
        service_sid=service_sid,
        parameters={"EventType": "stream_created", "Number": str(n)},
    )


def failure_of(url: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failure:
        sender.deliver(webhook(url).to_dict())
    return failure.value


@pytest.fixture(scope="module")
def inside() -> Iterator[Receiver]:
    """Return a receiver to which no connection is open yet."""
    receiver = Receiver(AUTH_TOKEN)
    yield receiver
    receiver.stop()


@pytest.mark.parametrize("host", SSRF_HOSTS)
def test_guard_lets_nothing_inside(inside: Receiver, host: str) -> None:
    failure = failure_of(f"http://{host}:{inside.port}/")

    assert failure.outcome == "blocked"
    assert inside.is_idle()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "0.0.0.0"])
def test_opened_guard_lets_all_of_them_in(receiver: Receiver, host: str) -> None:
    sender.deliver(webhook(f"http://{host}:{receiver.port}/").to_dict())

    assert receiver.next()["is_valid"]


def test_name_that_leads_inside_only_now_is_refused(
    inside: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL was accepted for the address that its name had then."""

    def rebound(host: object, port: object, *_: object, **__: object) -> list[object]:
        addresses = ["169.254.169.254", "10.0.0.1", "127.0.0.1"]
        kind = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(*kind, (address, port)) for address in addresses]

    url = f"http://hooks.example:{inside.port}/"
    check_service_fields({"webhook_url": url})
    monkeypatch.setattr(socket, "getaddrinfo", rebound)

    assert failure_of(url).outcome == "blocked"
    assert inside.is_idle()


@pytest.mark.parametrize(
    "url", ["http://2130706433/", "http://127.1/", "http://[", "http:///x", "x"]
)
def test_what_is_no_url_is_a_failure(url: str) -> None:
    assert failure_of(url).outcome in {"unreachable", "blocked"}


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    failure = failure_of(receiver.url("302"))

    assert (failure.outcome, failure.detail) == ("refused", "302")
    assert receiver.next()["path"] == "/302"
    assert receiver.is_idle()


@pytest.mark.parametrize("status", ["300", "404", "500"])
def test_answers_other_than_2xx_are_failures(receiver: Receiver, status: str) -> None:
    failure = failure_of(receiver.url(status))

    assert (failure.outcome, failure.detail) == ("refused", status)


@pytest.mark.parametrize("status", ["200", "204", "299"])
def test_any_2xx_will_do(receiver: Receiver, status: str) -> None:
    sender.deliver(webhook(receiver.url(status)).to_dict())


def test_garbage_is_a_failure(receiver: Receiver) -> None:
    assert failure_of(receiver.url("garbage")).outcome == "unreachable"


def test_failed_connection_is_tried_twice(receiver: Receiver) -> None:
    assert failure_of(receiver.url("hangs-up")).outcome == "unreachable"

    assert [receiver.next()["path"] for _ in range(2)] == ["/hangs-up"] * 2
    assert receiver.is_idle()


def test_nobody_there_is_a_failure(receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{free_port()}/"

    assert failure_of(url).outcome == "unreachable"


def test_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    sender.deliver(webhook(receiver.url("endless")).to_dict())


@pytest.mark.parametrize("kind", ["never", "trickles"])
def test_answer_that_does_not_end_in_time_is_a_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(client, "TOTAL_SECONDS", 0.3)

    assert failure_of(receiver.url(kind)).outcome == "timeout"
    assert receiver.next()["path"] == f"/{kind}"
    assert receiver.is_idle()


def test_connection_that_is_not_taken_is_a_timeout_of_its_own(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.2)
    own = Dispatcher()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        with socket.create_connection(where):  # all that it has room for
            late = webhook("http://{}:{}/".format(*where))

            started = time.monotonic()
            failure = own.submit(own.deliver(late)).exception()
            own.close()

    assert isinstance(failure, DeliveryFailed)
    assert failure.outcome == "timeout"
    # Twice, and long before the 15 seconds that everything may take.
    assert 0.4 <= time.monotonic() - started < client.TOTAL_SECONDS


def test_times_are_those_of_twilio() -> None:
    assert (client.CONNECT_SECONDS, client.TOTAL_SECONDS) == (5, 15)


def test_account_without_auth_token_cannot_sign(
    receiver: Receiver, override: Override
) -> None:
    override(ACCOUNTS={ACCOUNT_SID: {"API_KEYS": {}}})

    assert failure_of(receiver.url()).outcome == "no auth token"


def test_slow_endpoint_delays_no_other_service(receiver: Receiver) -> None:
    for n in range(3):
        sender.send(webhook(receiver.url("slow"), n=n))
    other = webhook(receiver.url("quick"), service_sid=OTHER_SERVICE_SID)
    sender.send(other)

    first_two = {receiver.next()["path"] for _ in range(2)}

    # The second slow one is sent a second later.
    assert first_two == {"/slow", "/quick"}


def test_one_endpoint_gets_events_on_one_subject_in_order(receiver: Receiver) -> None:
    for n in range(20):
        sender.send(webhook(receiver.url(), n=n))

    numbers = [int(receiver.parameters()["Number"]) for _ in range(20)]

    assert numbers == list(range(20))


@pytest.mark.parametrize(("sent", "lost"), [(3, 0), (4, 1)])
def test_full_queue_loses_the_newest_and_counts_them(
    receiver: Receiver, override: Override, totals: Outcomes, sent: int, lost: int
) -> None:
    override(WEBHOOK_ALLOW_PRIVATE=True, WEBHOOK_QUEUE_SIZE=3)

    for n in range(sent):
        sender.send(webhook(receiver.url("slow"), n=n))

    assert sender.flush(WAIT_SECONDS)
    assert totals.totals == {"delivered": 3, **({"overflow": lost} if lost else {})}


@pytest.mark.parametrize(("sent", "lost"), [(3, 0), (4, 1)])
def test_all_services_together_have_a_bound_too(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    totals: Outcomes,
    sent: int,
    lost: int,
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 3)

    for n in range(sent):
        sender.send(webhook(receiver.url("slow"), service_sid=f"IS{n:032x}"))

    assert sender.flush(WAIT_SECONDS)
    assert totals.totals == {"delivered": 3, **({"overflow": lost} if lost else {})}


@pytest.mark.django_db(transaction=True)
def test_operation_does_not_wait_for_the_endpoint(receiver: Receiver) -> None:
    service = operations.create_service(
        ACCOUNT_SID, webhook_url=receiver.url("slow"), webhooks_from_rest_enabled=True
    )

    operations.create_stream(service)

    assert not sender.flush(0)  # it is on its way
    assert receiver.next()["is_valid"]


@pytest.mark.django_db(transaction=True)
def test_project_may_hand_webhooks_to_its_own_queue(
    service: Service, receiver: Receiver, override: Override
) -> None:
    override(WEBHOOK_SENDER="tests.webhooks.hand_over.to_queue")
    hand_over.handed_over.clear()

    operations.create_stream(service, unique_name="x")

    assert receiver.is_idle()
    assert "auth-token" not in hand_over.handed_over[0]
    sender.deliver(json.loads(hand_over.handed_over[0]))
    assert receiver.parameters()["StreamUniqueName"] == "x"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["failing", "missing"])
def test_failing_sender_is_counted_and_does_not_fail_the_operation(
    service: Service, override: Override, totals: Outcomes, name: str
) -> None:
    override(WEBHOOK_SENDER=f"tests.webhooks.hand_over.{name}")

    stream = operations.create_stream(service)

    assert operations.get_stream(service, stream.sid) == stream
    assert totals.totals == {"error": 1}


def test_failure_survives_the_way_out_of_a_task() -> None:
    failure = pickle.loads(pickle.dumps(DeliveryFailed("refused", "500")))

    assert (failure.outcome, failure.detail) == ("refused", "500")
    assert str(failure) == "refused: 500"


def test_webhooks_of_a_process_that_ends_are_still_sent(receiver: Receiver) -> None:
    program = f"""
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.SYNC_STREAMS["WEBHOOK_ALLOW_PRIVATE"] = True
django.setup()
from sync_streams.webhooks import sender
from sync_streams.webhooks.webhook import Webhook
sender.send(Webhook.from_dict({webhook(receiver.url("slow")).to_dict()!r}))
"""

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        timeout=WAIT_SECONDS,
        check=True,
        capture_output=True,
        text=True,
    )

    assert receiver.next()["is_valid"]
    assert done.stderr == ""


def test_process_that_ends_says_how_many_it_could_not_send(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sender, "FLUSH_SECONDS", 0.1)
    for n in range(2):
        sender.send(webhook(receiver.url("never"), n=n))

    with caplog.at_level(logging.WARNING, "sync_streams"):
        sender.close()

    assert [record.getMessage() for record in caplog.records] == [
        "2 webhooks were not sent before the process ended"
    ]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_sends_its_own(receiver: Receiver) -> None:
    """As the workers of Celery and of gunicorn's ``--preload`` are made."""
    sender.deliver(webhook(receiver.url("parent")).to_dict())
    child = multiprocessing.get_context("fork").Process(
        target=sender.deliver, args=(webhook(receiver.url("child")).to_dict(),)
    )
    child.start()
    child.join(WAIT_SECONDS)

    assert child.exitcode == 0
    assert [receiver.next()["path"] for _ in range(2)] == ["/parent", "/child"]


def test_failures_of_a_minute_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    minutes: list[Callable[[], None]] = []
    outcomes = Outcomes()

    def later(delay: float, callback: Callable[[], None]) -> None:
        assert delay == 60
        minutes.append(callback)

    with caplog.at_level(logging.WARNING, "sync_streams"):
        outcomes.note("IS1", "timeout", later, "first")
        for _ in range(100):
            outcomes.note("IS1", "refused", later)
        outcomes.note("IS2", "overflow", later)
        minutes.pop(0)()
        minutes[-1]()
        outcomes.note("IS1", "timeout", later)

    assert [record.getMessage() for record in caplog.records] == [
        "webhook of IS1 failed: timeout: first",
        "webhook of IS2 failed: overflow",
        "webhooks of IS1 failed: 100 refused",
        "webhook of IS1 failed: timeout",
    ]
    assert outcomes.totals == {"timeout": 2, "refused": 100, "overflow": 1}
