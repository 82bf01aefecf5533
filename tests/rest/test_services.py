from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from sync_streams import operations
from sync_streams.models import Service, Stream
from tests import settings as site
from tests.rest.api import Api, failure, read


def test_service_has_every_field_of_twilio(api: Api) -> None:
    response = api.post("/v1/Services", FriendlyName="Täst")

    body = read(response)
    url = f"http://testserver/v1/Services/{body['sid']}"
    assert response.status_code == 201
    assert body["date_created"] == body["date_updated"]
    assert body == {
        "sid": body["sid"],
        "unique_name": None,
        "account_sid": site.ACCOUNT_SID,
        "friendly_name": "Täst",
        "date_created": body["date_created"],
        "date_updated": body["date_updated"],
        "url": url,
        "webhook_url": None,
        "webhooks_from_rest_enabled": False,
        "reachability_webhooks_enabled": False,
        "acl_enabled": False,
        "reachability_debouncing_enabled": False,
        "reachability_debouncing_window": 5000,
        "links": {
            "documents": f"{url}/Documents",
            "lists": f"{url}/Lists",
            "maps": f"{url}/Maps",
            "streams": f"{url}/Streams",
        },
    }


def test_dates_are_utc_in_whole_seconds(api: Api) -> None:
    body = read(api.post("/v1/Services"))

    created = datetime.strptime(body["date_created"], "%Y-%m-%dT%H:%M:%S%z")
    assert abs(timezone.now() - created) < timedelta(seconds=10)
    assert body["date_created"].endswith("Z")


def test_service_takes_every_parameter(api: Api) -> None:
    response = api.post(
        "/v1/Services",
        FriendlyName="Orders",
        WebhookUrl="https://example.com/hook?x=1",
        WebhooksFromRestEnabled="true",
        ReachabilityWebhooksEnabled="true",
        AclEnabled="True",
        ReachabilityDebouncingEnabled="true",
        ReachabilityDebouncingWindow="30000",
        UniqueName="cannot be set",
        Unknown="ignored",
    )

    body = read(response)
    assert response.status_code == 201
    assert body["unique_name"] is None
    assert body["friendly_name"] == "Orders"
    assert body["webhook_url"] == "https://example.com/hook?x=1"
    assert body["webhooks_from_rest_enabled"] is True
    assert body["reachability_webhooks_enabled"] is True
    assert body["acl_enabled"] is True
    assert body["reachability_debouncing_enabled"] is True
    assert body["reachability_debouncing_window"] == 30000


def test_json_body_works_like_a_form(api: Api) -> None:
    response = api.post_json(
        "/v1/Services",
        {
            "FriendlyName": "Orders",
            "WebhookUrl": None,
            "AclEnabled": True,
            "ReachabilityDebouncingEnabled": "false",
            "ReachabilityDebouncingWindow": 1000,
        },
    )

    body = read(response)
    assert response.status_code == 201
    assert body["friendly_name"] == "Orders"
    assert body["webhook_url"] is None
    assert body["acl_enabled"] is True
    assert body["reachability_debouncing_window"] == 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FriendlyName", "x"),
        ("FriendlyName", "é" * 255),
        ("WebhookUrl", "http://example.com"),
        ("WebhookUrl", ""),
        ("ReachabilityDebouncingWindow", "1000"),
        ("ReachabilityDebouncingWindow", "30000"),
        ("AclEnabled", "false"),
        ("AclEnabled", "TRUE"),
    ],
)
def test_parameter_at_the_edge_is_taken(api: Api, name: str, value: str) -> None:
    assert api.post("/v1/Services", **{name: value}).status_code == 201


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FriendlyName", "", (400, 54053, "Invalid friendly name")),
        ("FriendlyName", "é" * 256, (400, 54053, "Invalid friendly name")),
        ("FriendlyName", "a\0b", (400, 54053, "Invalid friendly name")),
        ("WebhookUrl", "/relative", (400, 54051, "Invalid webhook URL")),
        ("WebhookUrl", "ftp://example.com", (400, 54051, "Invalid webhook URL")),
        ("WebhookUrl", "https://", (400, 54051, "Invalid webhook URL")),
        ("WebhookUrl", "http://[", (400, 54051, "Invalid webhook URL")),
        *(
            (
                "ReachabilityDebouncingWindow",
                value,
                (400, 20001, "Invalid ReachabilityDebouncingWindow"),
            )
            for value in ("999", "30001", "-1000", "", "5s", "5000.0", "9" * 5000)
        ),
        *(
            (name, value, (400, 20001, f"Invalid {name}"))
            for name in (
                "AclEnabled",
                "WebhooksFromRestEnabled",
                "ReachabilityWebhooksEnabled",
                "ReachabilityDebouncingEnabled",
            )
            for value in ("", "1", "yes")
        ),
    ],
)
def test_bad_parameter_is_refused(
    api: Api, service: Service, name: str, value: str, expected: tuple[int, int, str]
) -> None:
    created = api.post("/v1/Services", **{name: value})
    updated = api.post(f"/v1/Services/{service.sid}", **{name: value})

    assert failure(created) == expected
    assert failure(updated) == expected


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"FriendlyName": 5}, 54053),
        ({"FriendlyName": "\ud800"}, 54053),
        ({"WebhookUrl": ["https://example.com"]}, 54051),
        ({"AclEnabled": 1}, 20001),
        ({"ReachabilityDebouncingWindow": True}, 20001),
        ({"ReachabilityDebouncingWindow": 5000.5}, 20001),
    ],
)
def test_json_value_of_another_type_is_refused(
    api: Api, parameters: dict[str, object], code: int
) -> None:
    assert failure(api.post_json("/v1/Services", parameters))[:2] == (400, code)


def test_services_can_be_created_without_parameters_or_content_type(api: Api) -> None:
    response = api.send("POST", "/v1/Services", content_type="")

    assert response.status_code == 201


def test_service_is_fetched_by_its_sid(api: Api, service: Service) -> None:
    response = api.get(f"/v1/Services/{service.sid}")

    assert response.status_code == 200
    assert read(response)["sid"] == service.sid


def test_default_service_is_created_when_requested(api: Api) -> None:
    first, second = (read(api.get("/v1/Services/default")) for _ in range(2))

    assert first == second
    assert first["unique_name"] == "default"
    assert first["friendly_name"] == "Default Service"
    assert first["url"] == f"http://testserver/v1/Services/{first['sid']}"


def test_removed_default_service_is_created_again_with_another_sid(api: Api) -> None:
    first = read(api.get("/v1/Services/default"))

    removed = api.delete("/v1/Services/default")

    assert removed.status_code == 204
    assert read(api.get("/v1/Services/default"))["sid"] != first["sid"]


def test_service_is_found_by_unique_name(api: Api, service: Service) -> None:
    Service.objects.filter(sid=service.sid).update(unique_name="orders é")

    response = api.get("/v1/Services/orders%20%C3%A9")

    assert read(response)["sid"] == service.sid


def test_update_changes_only_the_given_parameters(api: Api, service: Service) -> None:
    api.post(f"/v1/Services/{service.sid}", WebhookUrl="https://example.com/")

    response = api.post(f"/v1/Services/{service.sid}", FriendlyName="New")

    assert response.status_code == 200
    assert read(response)["friendly_name"] == "New"
    assert read(response)["webhook_url"] == "https://example.com/"


def test_update_without_parameters_changes_nothing(api: Api, service: Service) -> None:
    before = read(api.get(f"/v1/Services/{service.sid}"))

    response = api.post(f"/v1/Services/{service.sid}")

    assert response.status_code == 200
    assert read(response) == before


def test_empty_webhook_url_removes_the_webhook(api: Api, service: Service) -> None:
    api.post(f"/v1/Services/{service.sid}", WebhookUrl="https://example.com/")

    response = api.post(f"/v1/Services/{service.sid}", WebhookUrl="")

    assert read(response)["webhook_url"] is None


def test_removal_has_an_empty_response_and_works_once(
    api: Api, service: Service
) -> None:
    first = api.delete(f"/v1/Services/{service.sid}")
    second = api.delete(f"/v1/Services/{service.sid}")

    assert (first.status_code, first.content) == (204, b"")
    assert "Content-Type" not in first
    assert failure(second)[:2] == (404, 20404)


def test_removal_takes_the_streams_along(api: Api, stream: Stream) -> None:
    api.delete(f"/v1/Services/{stream.service_id}")

    assert not Stream.objects.exists()


def test_other_account_sees_nothing(
    api: Api, other_api: Api, service: Service, stream: Stream
) -> None:
    path = f"/v1/Services/{service.sid}"
    streams = f"{path}/Streams"
    one = f"{streams}/{stream.sid}"

    answers = [
        other_api.get(path),
        other_api.post(path, FriendlyName="mine"),
        other_api.delete(path),
        other_api.get(streams),
        other_api.post(streams),
        other_api.get(one),
        other_api.get(f"/v1/Services/default/Streams/{stream.sid}"),
        other_api.get(f"/v1/Services/default/Streams/{stream.unique_name}"),
        other_api.post(one, Ttl=5),
        other_api.delete(one),
        other_api.publish(f"{one}/Messages", {}),
        other_api.publish(f"/v1/Services/default/Streams/{stream.sid}/Messages", {}),
    ]

    assert {failure(answer)[:2] for answer in answers} == {(404, 20404)}
    assert read(other_api.get("/v1/Services"))["services"] != []
    assert service.sid not in other_api.get("/v1/Services").content.decode()
    assert api.get(one).status_code == 200


def test_each_account_has_a_default_service_of_its_own(
    api: Api, other_api: Api
) -> None:
    mine, other = (read(who.get("/v1/Services/default")) for who in (api, other_api))

    assert mine["sid"] != other["sid"]
    assert operations.list_services(site.ACCOUNT_SID).count() == 1
