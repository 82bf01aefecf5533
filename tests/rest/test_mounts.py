"""Where a host project puts our URLs, next to its own."""

import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path, set_script_prefix
from pytest_django import Settings

from sync_streams.rest import errors
from tests.rest.api import Api, failure, read

UseUrls = Callable[..., None]


def _page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the project's page")


@pytest.fixture
def use_urls(settings: Settings) -> Iterator[UseUrls]:
    """Give the site other URLs, and handlers by their names."""
    name = "tests.rest.urls_of_this_test"

    def use(*urlpatterns: object, **handlers: object) -> None:
        module = ModuleType(name)
        vars(module).update(urlpatterns=list(urlpatterns), **handlers)
        sys.modules[name] = module
        settings.ROOT_URLCONF = name

    yield use
    sys.modules.pop(name, None)


def _nested() -> object:
    inner = [path("sync/", include("sync_streams.urls"))]
    return path("api/", include((inner, "api")))


def test_urls_below_the_projects_own_namespace_lead_back(
    api: Api, use_urls: UseUrls
) -> None:
    use_urls(_nested())

    created = read(api.post("/api/sync/v1/Services"))
    page = read(api.get("/api/sync/v1/Services"))

    url = f"http://testserver/api/sync/v1/Services/{created['sid']}"
    assert created["url"] == url
    assert created["links"]["streams"] == f"{url}/Streams"
    assert created["sid"] in {service["sid"] for service in page["services"]}
    assert page["meta"]["url"].startswith("http://testserver/api/sync/v1/Services?")


def test_each_of_two_mounts_leads_to_itself(api: Api, use_urls: UseUrls) -> None:
    use_urls(path("", include("sync_streams.urls")), _nested())

    for root in ("", "/api/sync"):
        url = read(api.get(f"{root}/v1/Services/default"))["url"]
        assert url.startswith(f"http://testserver{root}/v1/Services/IS")


def test_urls_begin_with_the_script_prefix(api: Api) -> None:
    set_script_prefix("/sync/")  # as a server's handler does with its own
    try:
        url = read(api.get("/v1/Services/default"))["url"]
    finally:
        set_script_prefix("/")

    assert url.startswith("http://testserver/sync/v1/Services/IS")


def test_a_pattern_that_catches_our_urls_is_reported(use_urls: UseUrls) -> None:
    ours, catch_all = path("", include("sync_streams.urls")), re_path("", _page)

    def found() -> set[str | None]:
        return {message.id for message in run_checks(tags=["sync_streams"])}

    use_urls(ours, catch_all)
    assert "sync_streams.W007" not in found()
    use_urls(catch_all, ours)
    assert "sync_streams.W007" in found()
    use_urls(catch_all)
    assert "sync_streams.W007" not in found()


def test_a_projects_own_pages_stand_beside_our_errors(
    api: Api, use_urls: UseUrls
) -> None:
    def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
        return HttpResponse("my own page", status=404)

    def broken(request: HttpRequest) -> HttpResponse:
        return HttpResponse("my own page", status=500)

    def fail(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    use_urls(
        path("", include("sync_streams.urls")),
        path("broken", fail),
        handler404=errors.handler404.otherwise(not_found),
        handler500=errors.handler500.otherwise(broken),
    )

    assert failure(api.get("/v1/nothing"))[:2] == (404, 20404)
    for name, status in (("nothing", 404), ("broken", 500)):
        answer = api.get(f"/{name}")
        assert (answer.status_code, answer.content) == (status, b"my own page")


@pytest.mark.parametrize("generator", ["drf_spectacular.openapi.AutoSchema"])
def test_a_schema_generator_finds_nothing_to_complain_of(
    settings: Settings, generator: str
) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "drf_spectacular"]
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": generator}

    call_command("spectacular", "--fail-on-warn", file=os.devnull)


@pytest.mark.parametrize(
    ("method", "ref"),
    [("GET", "default"), ("POST", "default"), ("GET", "nobody"), ("DELETE", "default")],
)
def test_no_cache_keeps_an_answer(api: Api, method: str, ref: str) -> None:
    response = api.send(method, f"/v1/Services/{ref}")

    assert response["Cache-Control"] == "no-store, private"


def test_a_per_site_cache_never_serves_another_accounts_response(
    api: Api, other_api: Api, settings: Settings
) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]

    mine = read(api.get("/v1/Services/default"))["sid"]

    assert read(other_api.get("/v1/Services/default"))["sid"] != mine
