"""The unmodified ``twilio`` library against the demo site, over real HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

from tests.programs import DemoSite
from tests.secrecy import MESSAGE

pytestmark = pytest.mark.clients

JUST_NOW = timedelta(minutes=1)


def _connect(site: DemoSite, *credentials: str, **options: str) -> Client:
    client = Client(*credentials, **options)
    client.sync.base_url = site.base_url
    return client


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # These would lead the library to another host.
    for name in ("TWILIO_EDGE", "TWILIO_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def client(embedded: DemoSite) -> Iterator[Client]:
    client = _connect(embedded, embedded.account_sid, embedded.auth_token)
    yield client
    client.http_client.session.close()


@pytest.fixture
def service(client: Client) -> Iterator[Any]:
    """A Service of the test's own, seen through the library."""
    created = client.sync.v1.services.create(friendly_name="Compatibility")
    yield client.sync.v1.services(created.sid)
    client.sync.v1.services(created.sid).delete()


@pytest.fixture
def stream(service: Any) -> Any:
    """A Stream of that Service."""
    created = service.sync_streams.create(unique_name="my stream é")
    return service.sync_streams(created.sid)


def _refused(call: Any, *arguments: Any, **parameters: Any) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        call(*arguments, **parameters)
    return caught.value


def _is(error: TwilioRestException, status: int, code: int) -> bool:
    return (error.status, error.code) == (status, code)


def test_three_lines_of_the_readme_publish(client: Client) -> None:
    sync_stream = client.sync.v1.services("default").sync_streams("demo")

    message = sync_stream.stream_messages.create(data={"text": "Hello from Python"})

    assert message.sid.startswith("TZ")
    assert message.data == {"text": "Hello from Python"}


def test_api_key_publishes(embedded: DemoSite) -> None:
    key = (embedded.api_key_sid, embedded.api_key_secret)
    client = _connect(embedded, *key, account_sid=embedded.account_sid)

    stream = client.sync.v1.services("default").sync_streams("demo")
    message = stream.stream_messages.create(data={})

    client.http_client.session.close()
    assert message.data == {}


@pytest.mark.parametrize("name", ["a?b", "a#b"])
def test_names_that_the_library_does_not_encode_are_encoded_first(
    service: Any, name: str
) -> None:
    for unique_name in ("a", name):
        service.sync_streams.create(unique_name=unique_name)
    encoded = service.sync_streams(quote(name, safe=""))

    assert service.sync_streams(name).fetch().unique_name == "a"  # as documented
    assert encoded.fetch().unique_name == name
    assert encoded.update(ttl=60).unique_name == name
    assert encoded.stream_messages.create(data={"n": 1}).data == {"n": 1}
    assert encoded.delete()
    assert [one.unique_name for one in service.sync_streams.list()] == ["a"]


@pytest.mark.parametrize("name", ["account", "key", "unknown"])
def test_wrong_credentials_are_refused(embedded: DemoSite, name: str) -> None:
    sids = {"account": embedded.account_sid, "key": embedded.api_key_sid}
    client = _connect(embedded, sids.get(name, "AC" + "0" * 32), "wrong")

    error = _refused(client.sync.v1.services("default").fetch)
    with pytest.raises(TwilioException, match="Unable to fetch page"):
        client.sync.v1.services.list()

    client.http_client.session.close()
    assert _is(error, 401, 20003)
    assert error.msg == "Unable to fetch record: Authenticate"


def test_service_is_created_with_every_parameter(client: Client) -> None:
    created = client.sync.v1.services.create(
        friendly_name="Täst",
        webhook_url="https://example.com/hook",
        reachability_webhooks_enabled=True,
        acl_enabled=False,
        reachability_debouncing_enabled=True,
        reachability_debouncing_window=1000,
        webhooks_from_rest_enabled=True,
    )

    client.sync.v1.services(created.sid).delete()
    assert created.friendly_name == "Täst"
    assert created.webhook_url == "https://example.com/hook"
    assert created.reachability_webhooks_enabled is True
    assert created.acl_enabled is False
    assert created.reachability_debouncing_enabled is True
    assert created.reachability_debouncing_window == 1000
    assert created.webhooks_from_rest_enabled is True
    assert abs(datetime.now(UTC) - created.date_created) < JUST_NOW
    assert created.date_updated == created.date_created


def test_service_is_fetched(embedded: DemoSite, service: Any) -> None:
    fetched = service.fetch()

    url = f"{embedded.base_url}/v1/Services/{fetched.sid}"
    assert fetched.account_sid == embedded.account_sid
    assert fetched.unique_name is None
    assert fetched.url == url
    assert fetched.links["streams"] == f"{url}/Streams"


def test_default_service_answers_to_its_alias_and_its_sid(client: Client) -> None:
    by_alias = client.sync.v1.services("default").fetch()
    by_sid = client.sync.v1.services(by_alias.sid).fetch()

    assert by_alias.unique_name == by_sid.unique_name == "default"
    assert by_alias.sid == by_sid.sid


def test_service_is_updated(service: Any) -> None:
    updated = service.update(friendly_name="New", acl_enabled=True)
    unchanged = service.update()

    assert (updated.friendly_name, updated.acl_enabled) == ("New", True)
    assert (unchanged.friendly_name, unchanged.acl_enabled) == ("New", True)


def test_services_are_listed(client: Client, service: Any) -> None:
    sids = [one.sid for one in client.sync.v1.services.list(page_size=1)]

    assert service.fetch().sid in sids
    assert len(sids) == len(set(sids)) >= 2


def test_service_is_deleted_once(client: Client) -> None:
    created = client.sync.v1.services.create()
    service = client.sync.v1.services(created.sid)

    assert service.delete() is True
    assert _is(_refused(service.delete), 404, 20404)
    assert _is(_refused(service.fetch), 404, 20404)
    assert _is(_refused(service.update, friendly_name="x"), 404, 20404)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"friendly_name": ""}, 54053),
        ({"webhook_url": "nowhere"}, 54051),
        ({"reachability_debouncing_window": 999}, 20001),
    ],
)
def test_bad_service_is_refused(
    client: Client, service: Any, parameters: dict[str, Any], code: int
) -> None:
    create, update = client.sync.v1.services.create, service.update

    assert _is(_refused(create, **parameters), 400, code)
    assert _is(_refused(update, **parameters), 400, code)


def test_stream_is_created_and_fetched_by_sid_and_name(service: Any) -> None:
    created = service.sync_streams.create(unique_name="a b.é")

    by_sid = service.sync_streams(created.sid).fetch()
    by_name = service.sync_streams("a b.é").fetch()

    assert created.sid == by_sid.sid == by_name.sid
    assert created.service_sid == service.fetch().sid
    assert created.created_by == "system"
    assert created.date_expires is None
    assert abs(datetime.now(UTC) - created.date_created) < JUST_NOW
    assert created.links["messages"] == f"{created.url}/Messages"


def test_anonymous_stream_expires_after_its_ttl(service: Any) -> None:
    created = service.sync_streams.create(ttl=3600)

    assert created.unique_name is None
    assert created.date_expires - created.date_created == timedelta(hours=1)


def test_stream_is_updated(stream: Any) -> None:
    updated = stream.update(ttl=60)
    unchanged = stream.update()
    endless = stream.update(ttl=0)

    assert updated.date_expires - updated.date_updated == timedelta(seconds=60)
    assert unchanged.date_expires == updated.date_expires
    assert endless.date_expires is None


@pytest.mark.parametrize("name", [".", "..", "../..", "x/..", "%2e%2e", "..?x"])
def test_name_that_the_library_normalises_away_removes_nothing(
    service: Any, stream: Any, name: str
) -> None:
    assert _is(_refused(service.sync_streams.create, unique_name=name), 400, 54302)
    assert _is(_refused(service.sync_streams(name).delete), 404, 20404)
    assert _is(_refused(service.sync_streams(name).update, ttl=1), 404, 20404)

    assert service.fetch().sid
    assert stream.fetch().date_expires is None


def test_stream_is_deleted_once(stream: Any) -> None:
    assert stream.delete() is True
    assert _is(_refused(stream.delete), 404, 20404)


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"unique_name": "my stream é"}, 409, 54301),
        ({"unique_name": ""}, 400, 54302),
        ({"unique_name": "x" * 321}, 400, 54302),
        ({"unique_name": "TO" + "0" * 32}, 400, 54302),
        ({"ttl": -1}, 400, 54011),
        ({"ttl": 31_536_001}, 400, 54011),
    ],
)
def test_bad_stream_is_refused(
    service: Any, stream: Any, parameters: dict[str, Any], status: int, code: int
) -> None:
    error = _refused(service.sync_streams.create, **parameters)

    assert _is(error, status, code)


@pytest.mark.parametrize("ref", ["nobody", "TO" + "0" * 32])
def test_missing_stream_is_not_found(service: Any, ref: str) -> None:
    missing = service.sync_streams(ref)

    errors = [
        _refused(missing.fetch),
        _refused(missing.update, ttl=1),
        _refused(missing.delete),
        _refused(missing.stream_messages.create, data={}),
    ]

    path = f"/Services/{service.fetch().sid}/Streams/{ref}"
    text = f"Unable to fetch record: The requested resource {path} was not found"
    assert all(_is(error, 404, 20404) for error in errors)
    assert errors[0].msg == text


def test_streams_are_listed_over_several_pages(service: Any) -> None:
    made = [service.sync_streams.create().sid for _ in range(7)]

    def sids(streams: Any) -> list[str]:
        return [stream.sid for stream in streams]

    assert sids(service.sync_streams.list()) == made
    assert sids(service.sync_streams.list(page_size=2)) == made
    assert sids(service.sync_streams.list(limit=5, page_size=2)) == made[:5]
    assert sids(service.sync_streams.list(limit=5000)) == made
    assert sids(service.sync_streams.stream(page_size=3)) == made


def test_pages_lead_on_and_back(service: Any) -> None:
    made = [service.sync_streams.create().sid for _ in range(5)]

    first = service.sync_streams.page(page_size=2)
    second = first.next_page()
    third = second.next_page()
    back = third.previous_page()
    again = service.sync_streams.get_page(first.next_page_url)

    pages = [[stream.sid for stream in page] for page in (second, third, back, again)]
    assert pages == [made[2:4], made[4:], made[2:4], made[2:4]]
    assert third.next_page() is None
    assert back.previous_page().previous_page() is None


def test_page_number_without_token_is_refused(service: Any) -> None:
    with pytest.raises(TwilioException) as caught:
        service.sync_streams.page(page_number=1)

    response = caught.value.args[1]
    assert response.status_code == 400
    assert '"code":20001' in response.text


def test_message_data_is_returned(stream: Any) -> None:
    data: dict[str, Any] = {
        "text": f"é 🙂 {MESSAGE}",
        "n": [1, 2.5, None, True, {"x": {}}],
    }

    message = stream.stream_messages.create(data=data)

    assert len(message.sid) == 34
    assert message.data == data


def test_message_of_4096_bytes_passes_and_one_more_does_not(stream: Any) -> None:
    fits = {"x": "é" * 2044}

    assert stream.stream_messages.create(data=fits).data == fits
    error = _refused(stream.stream_messages.create, data={"x": fits["x"] + "a"})
    assert _is(error, 413, 54006)
    assert error.msg == "Unable to create record: Request entity too large"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([1, 2], 54008),
        ("plain", 54008),
        (5, 54008),
        (True, 54008),
        ({"x": float("nan")}, 54008),
        ({"x": "\ud800"}, 54008),
        (None, 54251),
    ],
    ids=repr,
)
def test_bad_data_is_refused(stream: Any, data: Any, code: int) -> None:
    assert _is(_refused(stream.stream_messages.create, data=data), 400, code)


def test_more_than_30_messages_a_second_are_refused(stream: Any) -> None:
    started = datetime.now(UTC)
    error: TwilioRestException | None = None
    sent = 0
    while error is None and datetime.now(UTC) - started < JUST_NOW:
        try:
            stream.stream_messages.create(data={"n": sent})
            sent += 1
        except TwilioRestException as refusal:
            error = refusal

    assert error is not None
    assert sent >= 30
    assert _is(error, 429, 54009)
    sid = stream.fetch().sid
    assert (
        error.msg
        == f"Unable to create record: Rate limit exceeded for write-stream-{sid}"
    )


def test_name_never_seen_before_is_free(service: Any) -> None:
    name = str(uuid4())

    created = service.sync_streams.create(unique_name=name)
    created.delete()

    assert service.sync_streams.create(unique_name=name).sid != created.sid
