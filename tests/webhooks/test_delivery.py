"""How webhooks are delivered, and what happens if they cannot be."""

import asyncio
import json
import logging
import multiprocessing
import pickle
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_streams import operations
from sync_streams.models import Service
from sync_streams.operations.validators import check_service_fields
from sync_streams.webhooks import client, dispatcher, resolver, sender
from sync_streams.webhooks.dispatcher import Dispatcher
from sync_streams.webhooks.outcomes import Outcomes
from sync_streams.webhooks.resolver import LOOKUP_SECONDS
from sync_streams.webhooks.sender import DeliveryFailed
from sync_streams.webhooks.shares import MAX_IN_FLIGHT, MIN_IN_FLIGHT, Flights, Queue
from sync_streams.webhooks.webhook import Webhook
from tests.logs import lines_of
from tests.overrides import Override
from tests.programs import ROOT, free_port
from tests.settings import ACCOUNT_SID, AUTH_TOKEN, OTHER_ACCOUNT_SID
from tests.webhooks import hand_over
from tests.webhooks.conftest import WAIT_SECONDS, Receiver
from tests.webhooks.nameserver import Nameserver

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


def webhook(
    url: str,
    *,
    account_sid: str = ACCOUNT_SID,
    service_sid: str = SERVICE_SID,
    n: int = 0,
) -> Webhook:
    return Webhook(
        url=url,
        account_sid=account_sid,
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
    with Receiver(AUTH_TOKEN) as receiver:
        yield receiver


@pytest.mark.parametrize("host", SSRF_HOSTS)
def test_guard_blocks_every_private_address(inside: Receiver, host: str) -> None:
    failure = failure_of(f"http://{host}:{inside.port}/")

    assert failure.outcome == "blocked"
    assert inside.is_idle()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "0.0.0.0"])
def test_opened_guard_allows_all_of_them(receiver: Receiver, host: str) -> None:
    sender.deliver(webhook(f"http://{host}:{receiver.port}/").to_dict())

    assert receiver.next()["is_valid"]


def test_name_that_leads_inside_only_now_is_refused(inside: Receiver) -> None:
    """The URL was accepted for the address of its name at that time."""
    url = f"http://hooks.example:{inside.port}/"
    check_service_fields({"webhook_url": url})

    with Nameserver("169.254.169.254", "10.0.0.1", "127.0.0.1") as nameserver:
        own = Dispatcher([nameserver.address])
        with pytest.raises(DeliveryFailed) as failure:
            own.run(own.deliver(webhook(url)))
        own.close()

    assert nameserver.asked
    assert failure.value.outcome == "blocked"
    assert inside.is_idle()


def test_unresolvable_names_delay_no_other_account(receiver: Receiver) -> None:
    with Nameserver("127.0.0.1") as nameserver:
        own = Dispatcher([nameserver.address])
        for n in range(100):
            own.put(webhook(f"http://{n}.silent/", service_sid=f"IS{n + 2:032x}"))
        url = f"http://hooks.example:{receiver.port}/found"
        own.put(webhook(url, account_sid=OTHER_ACCOUNT_SID))

        found = receiver.next(LOOKUP_SECONDS)
        waiting = own.close()

    assert found["path"] == "/found"
    assert waiting >= 100


def test_unanswered_name_is_a_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.1)
    with Nameserver() as nameserver:
        own = Dispatcher([nameserver.address])
        with pytest.raises(DeliveryFailed) as failure:
            own.run(own.deliver(webhook("http://hooks.silent/")))
        own.close()

    assert failure.value.outcome == "timeout"


@pytest.mark.parametrize(
    "url", ["http://2130706433/", "http://127.1/", "http://[", "http:///x", "x"]
)
def test_an_invalid_url_is_a_failure(url: str) -> None:
    assert failure_of(url).outcome in {"unreachable", "blocked"}


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    failure = failure_of(receiver.url("302"))

    assert (failure.outcome, failure.detail) == ("refused", "302")
    assert receiver.next()["path"] == "/302"
    assert receiver.is_idle()


@pytest.mark.parametrize("status", ["300", "404", "500"])
def test_responses_other_than_2xx_are_failures(receiver: Receiver, status: str) -> None:
    failure = failure_of(receiver.url(status))

    assert (failure.outcome, failure.detail) == ("refused", status)


@pytest.mark.parametrize("status", ["200", "204", "299"])
def test_any_2xx_will_do(receiver: Receiver, status: str) -> None:
    sender.deliver(webhook(receiver.url(status)).to_dict())


def test_garbage_is_a_failure(receiver: Receiver) -> None:
    assert failure_of(receiver.url("garbage")).outcome == "unreachable"


@pytest.mark.parametrize("is_reused", [False, True])
def test_webhook_that_may_have_arrived_is_not_sent_again(
    receiver: Receiver, is_reused: bool
) -> None:
    if is_reused:
        sender.deliver(webhook(receiver.url()).to_dict())
        receiver.next()

    assert failure_of(receiver.url("hangs-up")).outcome == "unreachable"

    assert receiver.next()["path"] == "/hangs-up"
    assert receiver.is_idle()


def test_connection_that_cannot_be_made_is_tried_twice(receiver: Receiver) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as thread,
    ):
        listener.settimeout(WAIT_SECONDS)
        where = listener.getsockname()
        failing = thread.submit(failure_of, "https://{}:{}/".format(*where))
        for _ in range(2):
            listener.accept()[0].close()  # in place of TLS

        assert failing.result().outcome == "unreachable"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_refused_connection_is_a_failure(receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{free_port()}/"

    assert failure_of(url).outcome == "unreachable"


def test_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    sender.deliver(webhook(receiver.url("endless")).to_dict())


@pytest.mark.parametrize("kind", ["never", "trickles", "informs"])
def test_answer_that_does_not_end_in_time_is_a_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(client, "TOTAL_SECONDS", 0.8)

    assert failure_of(receiver.url(kind)).outcome == "timeout"
    assert receiver.next()["path"] == f"/{kind}"
    assert receiver.is_idle()


def test_connection_that_is_not_accepted_times_out(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.2)
    own = Dispatcher()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        with socket.create_connection(where):  # as many as fit
            late = webhook("http://{}:{}/".format(*where))

            started = time.monotonic()
            with pytest.raises(DeliveryFailed) as failure:
                own.run(own.deliver(late))
            own.close()

    assert failure.value.outcome == "timeout"
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
def test_services_of_one_account_have_half_of_the_process(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    totals: Outcomes,
    sent: int,
    lost: int,
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 6)
    own = Dispatcher()

    for n in range(sent):
        own.put(webhook(receiver.url("slow"), service_sid=f"IS{n + 2:032x}"))

    assert own.flush(WAIT_SECONDS)
    own.close()
    assert totals.totals == {"delivered": 3, **({"overflow": lost} if lost else {})}


def test_account_that_fills_its_share_costs_another_one_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, totals: Outcomes
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 6)
    own = Dispatcher()
    for n in range(100):
        own.put(webhook(receiver.url("never"), service_sid=f"IS{n + 2:032x}"))

    own.put(webhook(receiver.url("other"), account_sid=OTHER_ACCOUNT_SID))
    paths = [receiver.next()["path"] for _ in range(4)]
    own.close()

    assert sorted(paths) == ["/never", "/never", "/never", "/other"]
    assert totals.totals["overflow"] == 97


@pytest.mark.parametrize("accounts", [1, 2, 3, 10])
def test_there_is_always_a_place_for_another_account(accounts: int) -> None:
    queue = Queue(100)
    held = Counter[str]()
    for _ in range(100):
        for number in range(accounts):
            held[str(number)] += queue.take(str(number), str(number), 1000)

    assert queue.take("another", "another", 1000)
    # Each gets at least an equal share among all of them plus one.
    assert min(held.values()) >= 100 // (accounts + 1) - 1


def test_places_that_are_given_back_are_free_again() -> None:
    queue = Queue(4)
    taken = [queue.take("a", "s", 2) for _ in range(3)]
    for _ in range(2):
        queue.give_back("a", "s")

    assert taken == [True, True, False]
    assert len(queue) == 0
    assert queue.take("a", "s", 2)


async def test_account_has_its_share_in_flight_and_the_others_wait(
    override: Override,
) -> None:
    override(ACCOUNTS={f"AC{n:032x}": {} for n in range(MAX_IN_FLIGHT)})
    flights = Flights()
    for _ in range(MIN_IN_FLIGHT):
        await flights.begin("AC1")

    late = asyncio.create_task(flights.begin("AC1"))
    await flights.begin("AC2")
    assert not late.done()

    flights.end("AC1")
    await late


async def test_a_cancelled_wait_takes_no_place() -> None:
    flights = Flights()
    for _ in range(MAX_IN_FLIGHT // 2):
        await flights.begin("AC1")
    late = asyncio.create_task(flights.begin("AC1"))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    for _ in range(MAX_IN_FLIGHT // 2):
        flights.end("AC1")

    await asyncio.wait_for(flights.begin("AC1"), WAIT_SECONDS)


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


def test_failure_survives_pickling() -> None:
    failure = pickle.loads(pickle.dumps(DeliveryFailed("refused", "500")))

    assert (failure.outcome, failure.detail) == ("refused", "500")
    assert str(failure) == "refused: 500"


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_webhooks_of_a_process_that_ends_are_still_sent(
    receiver: Receiver, when: str
) -> None:
    send = {"before": "sender.send(", "meanwhile": "atexit.register(sender.send, "}
    program = f"""
import atexit, os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.SYNC_STREAMS["WEBHOOK_ALLOW_PRIVATE"] = True
django.setup()
from sync_streams.webhooks import sender
from sync_streams.webhooks.dispatcher import get_dispatcher
from sync_streams.webhooks.webhook import Webhook
get_dispatcher()
{send[when]}Webhook.from_dict({webhook(receiver.url("slow")).to_dict()!r}))
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

    assert lines_of("sync_streams.webhooks", caplog) == [
        "2 webhooks were not sent before the process exited"
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

    assert lines_of("sync_streams.webhooks", caplog) == [
        "webhook of IS1 failed: timeout: first",
        "webhook of IS2 failed: overflow",
        "webhooks of IS1 failed: 100 refused",
        "webhook of IS1 failed: timeout",
    ]
    assert outcomes.totals == {"timeout": 2, "refused": 100, "overflow": 1}
