import json
import logging
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from sync_streams.models import Service, Stream
from sync_streams.rest import errors
from sync_streams.rest.policies import SyncViewSet
from tests.rest.api import Api, failure, read


class FailingView(SyncViewSet):
    """Raises what the test says, as an operation might."""

    authentication_classes = ()
    exception: Exception = Http404()

    def list(self, request: Any) -> Any:
        raise self.exception


def _fail(exception: Exception) -> HttpResponse:
    view = FailingView.as_view({"get": "list"}, exception=exception)
    response = view(RequestFactory().get("/v1/Services"))
    response.render()
    return response


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1//",
        "/v1//Services",
        "/v1/services",
        "/v1/Services//",
        "/v1/Services//Streams",
        "/v1/Services/default//Streams",
        "/v1/Services/default/Documents",
        "/v1/Services/default/Streams//Messages",
        "/v1/Services/default/Streams/x/Messages/TZ1",
        "/v1/Services/default/Streams/x/Permissions",
        "/v1/a/b/c/d/e/f/g/",
        "/v1/%0A",
        "/v1/Services%0A",
        "/v1/Services.json",
        "/v1/\u00e9",
        "/v1/%FF%FE",
        "/v1/" + "a" * 5000,
        "/v1/../admin",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "FOO"])
@pytest.mark.parametrize("append_slash", [True, False])
def test_unknown_path_is_not_found_and_never_redirected(
    api: Api, settings: Settings, path: str, method: str, append_slash: bool
) -> None:
    settings.APPEND_SLASH = append_slash

    response = api.send(method, path)

    assert failure(response)[:2] == (404, 20404)


def test_unknown_path_is_named_as_requested_without_login() -> None:
    response = Api("", "").get("/v1/Services//Maps//Items", x=1)

    text = "The requested resource /Services//Maps//Items was not found"
    assert failure(response) == (404, 20404, text)


@pytest.mark.parametrize("append_slash", [True, False])
def test_trailing_slash_changes_nothing_for_reads(
    api: Api, stream: Stream, settings: Settings, append_slash: bool
) -> None:
    settings.APPEND_SLASH = append_slash
    streams_path = f"/v1/Services/{stream.service_id}/Streams"
    one = f"{streams_path}/{stream.sid}"

    for path in ("/v1/Services", "/v1/Services/default", streams_path, one):
        with_slash, without = api.get(f"{path}/"), api.get(path)
        assert with_slash.status_code == without.status_code == 200
        assert read(with_slash) == read(without)


@pytest.mark.parametrize("append_slash", [True, False])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_path_with_a_trailing_slash_changes_nothing(
    api: Api, stream: Stream, settings: Settings, method: str, append_slash: bool
) -> None:
    settings.APPEND_SLASH = append_slash
    service_path = f"/v1/Services/{stream.service_id}"
    stream_path = f"{service_path}/Streams/{stream.sid}"
    before = Service.objects.count(), Stream.objects.count()

    for path in ("/v1/Services", service_path, f"{service_path}/Streams", stream_path):
        answer = api.send(method, f"{path}/", "FriendlyName=x&UniqueName=y&Ttl=1")
        assert failure(answer)[:2] == (404, 20404)
    answer = api.send(method, f"{stream_path}/Messages/", "Data={}")

    assert failure(answer)[:2] == (404, 20404)
    assert (Service.objects.count(), Stream.objects.count()) == before
    stream.refresh_from_db()
    assert stream.date_expires is None


@pytest.mark.parametrize("dots", [".", "..", "%2e%2E", "x/..", "x%2F..%2F.."])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_path_with_dot_segments_changes_nothing(
    api: Api, service: Service, method: str, dots: str
) -> None:
    named = Stream.objects.create(
        service=service, account_sid=service.account_sid, unique_name=unquote(dots)
    )

    for path in (f"Streams/{dots}", f"Streams/{dots}/Messages", f"{dots}/Streams"):
        answer = api.send(method, f"/v1/Services/{service.sid}/{path}", "Ttl=1&Data={}")
        assert failure(answer)[:2] == (404, 20404)

    named.refresh_from_db()
    assert named.date_expires is None


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/Services", "GET, POST, HEAD, OPTIONS"),
        ("/v1/Services/default", "GET, POST, DELETE, HEAD, OPTIONS"),
        ("/v1/Services/default/Streams", "GET, POST, HEAD, OPTIONS"),
        ("/v1/Services/default/Streams/x", "GET, POST, DELETE, HEAD, OPTIONS"),
        ("/v1/Services/default/Streams/x/Messages", "POST, OPTIONS"),
    ],
)
def test_other_methods_are_not_allowed(api: Api, path: str, allow: str) -> None:
    for method in ("PUT", "PATCH", "TRACE", "FOO"):
        response = api.send(method, path)
        assert failure(response) == (405, 20004, "Method not allowed")
        assert response["Allow"] == allow


def test_options_tell_the_methods(api: Api) -> None:
    response = api.send("OPTIONS", "/v1/Services")

    assert (response.status_code, response.content) == (204, b"")
    assert response["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_head_is_get_without_the_body(api: Api, service: Service) -> None:
    response = api.send("HEAD", f"/v1/Services/{service.sid}")

    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/xml;q=1", "%", ""])
def test_answer_is_json_whatever_is_accepted(
    api: Api, service: Service, accept: str
) -> None:
    for path in (f"/v1/Services/{service.sid}", "/v1/nothing"):
        assert read(api.send("GET", path, Accept=accept))


def test_answer_is_compact_utf_8(api: Api) -> None:
    response = api.post("/v1/Services", FriendlyName="é 🙂")

    assert '"friendly_name":"é 🙂","date_created":' in response.content.decode()


def test_every_answer_has_a_request_id_and_its_duration(
    api: Api, client: Client, service: Service
) -> None:
    answers = [
        api.get("/v1/Services"),
        api.get("/v1/nothing"),
        api.delete(f"/v1/Services/{service.sid}"),
        client.get("/v1/Services"),
        client.get("/v1/Services", headers={"Host": "a b"}),
    ]

    ids = [answer["Twilio-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(answers)
    assert all(id.startswith("RQ") and len(id) == 34 for id in ids)
    assert all(float(one["Twilio-Request-Duration"]) >= 0 for one in answers)


def test_urls_begin_with_the_public_url(
    api: Api, service: Service, settings: Settings
) -> None:
    public = {"PUBLIC_URL": "https://sync.example.com/"}
    settings.SYNC_STREAMS = {**settings.SYNC_STREAMS, **public}

    one = read(api.get(f"/v1/Services/{service.sid}"))
    page = read(api.get(f"/v1/Services/{service.sid}/Streams"))

    url = f"https://sync.example.com/v1/Services/{service.sid}"
    assert one["url"] == url
    assert one["links"]["streams"] == f"{url}/Streams"
    assert page["meta"]["url"] == f"{url}/Streams?PageSize=50&Page=0"


def test_urls_begin_with_the_origin_of_the_request(api: Api, service: Service) -> None:
    response = api.send("GET", f"/v1/Services/{service.sid}", Host="example.com:8443")

    url = f"http://example.com:8443/v1/Services/{service.sid}"
    assert read(response)["url"] == url


def test_urls_begin_with_the_origin_that_a_trusted_proxy_names(
    api: Api, service: Service, settings: Settings
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.USE_X_FORWARDED_HOST = True
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "sync.example.com"}

    page = read(api.send("GET", "/v1/Services", **forwarded))

    url = "https://sync.example.com/v1/Services"
    assert page["services"][0]["url"] == f"{url}/{service.sid}"
    assert page["meta"]["first_page_url"] == f"{url}?PageSize=50&Page=0"


def test_a_proxy_that_is_not_trusted_names_no_origin(
    api: Api, service: Service
) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}

    body = read(api.send("GET", f"/v1/Services/{service.sid}", **forwarded))

    assert body["url"] == f"http://testserver/v1/Services/{service.sid}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("If-Match", '"0"'),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ("Idempotency-Key", "1"),
        ("Range", "bytes=0-1"),
        ("X-HTTP-Method-Override", "DELETE"),
    ],
)
def test_conditions_change_nothing(
    api: Api, service: Service, name: str, value: str
) -> None:
    path = f"/v1/Services/{service.sid}"

    fetched = api.send("GET", path, **{name: value})
    updated = api.send("POST", path, "FriendlyName=New", **{name: value})

    assert read(fetched)["friendly_name"] is None
    assert read(updated)["friendly_name"] == "New"


def test_login_required_middleware_does_not_affect_the_api(
    api: Api, messages_path: str, settings: Settings
) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]

    assert api.get("/v1/Services").status_code == 200
    assert api.publish(messages_path, {}).status_code == 201
    assert failure(api.get("/v1/nothing"))[:2] == (404, 20404)


def test_csrf_is_not_asked_of_clients(messages_path: str, api: Api) -> None:
    api._client = Client(enforce_csrf_checks=True)

    assert api.publish(messages_path, {}).status_code == 201


def test_global_settings_of_the_framework_change_nothing(
    api: Api, messages_path: str, settings: Settings
) -> None:
    settings.REST_FRAMEWORK = {
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.AdminRenderer"],
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning",
        "EXCEPTION_HANDLER": "rest_framework.views.exception_handler",
        "UNAUTHENTICATED_USER": None,
        "COMPACT_JSON": False,
        "UNICODE_JSON": False,
        "COERCE_DECIMAL_TO_STRING": False,
        "DATETIME_FORMAT": "%s",
    }

    assert api.publish(messages_path, {"é": 1}).status_code == 201
    assert failure(api.get("/v1/nothing"))[:2] == (404, 20404)
    assert read(api.get("/v1/Services"))["services"][0]["date_created"].endswith("Z")


@pytest.mark.parametrize("host", ["evil.example", "a b", "localhost:x", "[::1"])
def test_unknown_host_is_refused_in_json(
    api: Api, settings: Settings, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]

    response = api.send("GET", "/v1/Services", Host=host)

    assert failure(response) == (400, 20001, "Invalid request")


def test_thousands_of_query_fields_are_refused(api: Api, streams_path: str) -> None:
    response = api.send("GET", f"{streams_path}?{'a=1&' * 2000}")

    assert failure(response) == (400, 20001, "Invalid request")


def test_unavailable_layer_is_503(
    api: Api, messages_path: str, settings: Settings
) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
        }
    }

    response = api.publish(messages_path, {})

    assert failure(response) == (503, 20503, "Service unavailable")


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (Http404(), (404, 20404)),
        (PermissionDenied(), (403, 54007)),
        (SuspiciousOperation(), (400, 20001)),
        (TooManyFieldsSent(), (400, 20001)),
        (RequestDataTooBig(), (413, 54006)),
        (RecursionError(), (400, 54008)),
    ],
    ids=repr,
)
def test_foreign_error_gets_a_code(
    exception: Exception, expected: tuple[int, int]
) -> None:
    assert failure(_fail(exception))[:2] == expected


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (ZeroDivisionError("secret"), (500, 20500, "Internal Server Error")),
        (OperationalError("secret"), (503, 20503, "Service unavailable")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("debug", [True, False])
def test_unexpected_error_is_logged_and_signalled_and_not_revealed(
    exception: Exception,
    expected: tuple[int, int, str],
    debug: bool,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.DEBUG = debug
    heard: list[object] = []

    def note(**_: object) -> None:
        heard.append(1)

    got_request_exception.connect(note)
    response = _fail(exception)
    got_request_exception.disconnect(note)

    assert failure(response) == expected
    assert heard == [1]
    record = [one for one in caplog.records if one.name == "django.request"][-1]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is exception


@pytest.mark.parametrize(
    ("handler", "arguments", "expected"),
    [
        (errors.handler400, [RequestDataTooBig()], (413, 54006)),
        (errors.handler400, [SuspiciousOperation()], (400, 20001)),
        (errors.handler403, [PermissionDenied()], (403, 54007)),
        (errors.handler404, [Http404()], (404, 20404)),
        (errors.handler500, [], (500, 20500)),
    ],
)
def test_handlers_answer_in_json_under_v1_and_as_django_does_elsewhere(
    handler: Any, arguments: list[Exception], expected: tuple[int, int]
) -> None:
    def ask(path: str) -> HttpResponse:
        request: HttpRequest = RequestFactory().get(path)
        return handler(request, *arguments)  # type: ignore[no-any-return]

    for path in ("/v1", "/v1/", "/v1/Services", "/v1/a/b/c/"):
        assert failure(ask(path))[:2] == expected
    for path in ("/", "/v1x", "/v2/v1/", "/admin/v1/"):
        elsewhere = ask(path)
        assert elsewhere["Content-Type"].startswith("text/html")
        with pytest.raises(json.JSONDecodeError):
            json.loads(elsewhere.content)
