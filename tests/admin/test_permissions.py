"""The permissions and queries that each page of the admin needs.

A page that is not in the table makes the first test fail.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from sync_streams.models import Service, Stream
from tests.admin.conftest import StaffClient
from tests.settings import ACCOUNT_SID

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {
    *(f"{verb}_service" for verb in ("add", "change", "delete", "view")),
    *(f"{verb}_stream" for verb in ("add", "change", "delete", "view")),
    *("monitor_stream", "publish_message"),
}


@dataclass(frozen=True)
class Door:
    """A page, or the target of one of its forms."""

    path: str
    """``{sid}`` is that of a Service or a Stream."""

    needs: tuple[str, ...]
    posts: bool = False


SERVICE = {
    "overview": Door("overview/", ("view_service",)),
    "figures of all": Door("figures/", ("view_service",)),
    "connections": Door("connections/", ("view_service", "monitor_stream")),
    "processes": Door("processes/", ("view_service",)),
    "monitor": Door("{sid}/monitor/", ("view_service", "monitor_stream")),
    "token": Door("{sid}/token/", ("view_service", "monitor_stream"), posts=True),
    "figures": Door("{sid}/figures/", ("view_service", "monitor_stream")),
    "publish": Door("{sid}/publish/", ("view_service", "publish_message"), posts=True),
    "disconnect": Door("{sid}/disconnect/", ("change_service",)),
    "webhook": Door("{sid}/webhook/", ("change_service",), posts=True),
    "changelist": Door("", ("view_service",)),
    "add": Door("add/", ("add_service",)),
    "change": Door("{sid}/change/", ("view_service",)),
    "history": Door("{sid}/history/", ("view_service",)),
    "delete": Door("{sid}/delete/", ("delete_service",)),
}
STREAM = {
    "occupancy": Door("occupancy/", ("view_stream",)),
    "monitor": Door("{sid}/monitor/", ("view_stream", "monitor_stream")),
    "token": Door("{sid}/token/", ("view_stream", "monitor_stream"), posts=True),
    "figures": Door("{sid}/figures/", ("view_stream", "monitor_stream")),
    "publish": Door("{sid}/publish/", ("view_stream", "publish_message"), posts=True),
    "changelist": Door("", ("view_stream",)),
    "add": Door("add/", ("add_stream",)),
    "change": Door("{sid}/change/", ("view_stream",)),
    "history": Door("{sid}/history/", ("view_stream",)),
    "delete": Door("{sid}/delete/", ("delete_stream",)),
}
ALL_DOORS = [
    (f"{model._meta.model_name} {name}", model, door)
    for model, doors in ((Service, SERVICE), (Stream, STREAM))
    for name, door in doors.items()
]
DOORS = [pytest.param(model, door, id=name) for name, model, door in ALL_DOORS]


def knock(client: Client, model: type[Service | Stream], door: Door, sid: str) -> Any:
    url = f"/admin/sync_streams/{model._meta.model_name}/{door.path.format(sid=sid)}"
    return (client.post if door.posts else client.get)(url)


def fill() -> None:
    """Create more than a page shows: 20 Services with 100 Streams."""
    services = Service.objects.bulk_create(
        Service(account_sid=ACCOUNT_SID) for _ in range(20)
    )
    Stream.objects.bulk_create(
        Stream(service=services[number % 20], unique_name=f"s-{number}")
        for number in range(100)
    )


@pytest.fixture
def sids(stream: Stream) -> dict[type, str]:
    return {Service: stream.service_id, Stream: stream.sid}


@pytest.mark.parametrize(("model", "doors"), [(Service, SERVICE), (Stream, STREAM)])
def test_table_names_every_page(
    model: type[Service | Stream], doors: dict[str, Door]
) -> None:
    routes = {
        str(pattern.pattern).replace("<path:object_id>", "{sid}")
        for pattern in django_admin.site.get_model_admin(model).get_urls()
    }

    # The last one is Django's redirect from legacy URLs.
    assert routes - {"{sid}/"} == {door.path for door in doors.values()}


@pytest.mark.parametrize(("model", "door"), DOORS)
def test_page_opens_with_exactly_the_permissions_it_needs(
    staff: StaffClient,
    sids: dict[type, str],
    model: type[Service | Stream],
    door: Door,
) -> None:
    answer = knock(staff(*door.needs), model, door, sids[model])

    assert answer.status_code in {200, 302, 400}
    assert "login" not in answer.get("Location", "")


@pytest.mark.parametrize(
    ("model", "door", "missing"),
    [
        pytest.param(model, door, missing, id=f"{name} without {missing}")
        for name, model, door in ALL_DOORS
        for missing in door.needs
    ],
)
def test_page_stays_closed_without_one_of_the_permissions(
    staff: StaffClient,
    sids: dict[type, str],
    model: type[Service | Stream],
    door: Door,
    missing: str,
) -> None:
    verb, _, name = missing.partition("_")
    # Who may change something may view it.
    same = {f"change_{name}"} if verb == "view" else set()

    answer = knock(staff(*ALL - {missing} - same), model, door, sids[model])

    assert answer.status_code == 403


@pytest.mark.parametrize(("model", "door"), DOORS)
def test_strangers_are_sent_to_the_login_from_every_page(
    sids: dict[type, str], model: type[Service | Stream], door: Door
) -> None:
    answer = knock(Client(), model, door, sids[model])

    assert "/admin/login/" in answer["Location"]


@pytest.mark.parametrize("page", ["", "{sid}/change/"])
def test_services_show_no_streams_to_those_who_may_not_view_them(
    staff: StaffClient, stream: Stream, page: str
) -> None:
    url = f"/admin/sync_streams/service/{page.format(sid=stream.service_id)}"

    shown = staff("view_service").get(url).content.decode()

    for secret in ("board-1", stream.sid, "/sync_streams/stream/"):
        assert secret not in shown
    assert ("Rotating secrets" if page else 'class="field-stream_count">1<') in shown


@pytest.mark.parametrize("permission", ["view_stream", "view_service"])
def test_stream_links_to_its_service_for_those_who_may_view_it(
    staff: StaffClient, stream: Stream, permission: str
) -> None:
    client = staff("view_stream", permission)

    shown = client.get(f"/admin/sync_streams/stream/{stream.sid}/change/")

    page = shown.content.decode()
    link = f"/admin/sync_streams/service/{stream.service_id}/change/"
    assert (link in page) is (permission == "view_service")
    assert "Chess" in page


def test_deleting_a_service_needs_permission_to_delete_its_streams(
    staff: StaffClient, stream: Stream
) -> None:
    url = f"/admin/sync_streams/service/{stream.service_id}/delete/"

    answer = staff(*ALL - {"delete_stream"}).post(url, {"post": "yes"})

    assert answer.status_code == 403
    assert Service.objects.filter(sid=stream.service_id).exists()


@pytest.mark.parametrize(("model", "door"), DOORS)
def test_page_asks_the_database_less_than_ten_times_however_much_it_holds(
    admin: Client,
    sids: dict[type, str],
    model: type[Service | Stream],
    door: Door,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    fill()

    with django_assert_max_num_queries(9):
        knock(admin, model, door, sids[model])


@pytest.mark.parametrize("path", ["/admin/", "/admin/sync_streams/"])
def test_index_asks_the_database_less_than_ten_times(
    admin: Client, path: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    fill()

    with django_assert_max_num_queries(9):
        assert admin.get(path).status_code == 200


@pytest.mark.parametrize(
    ("model", "action"),
    [(Service, "delete_selected"), (Stream, "delete_selected"), (Stream, "set_ttl")],
)
def test_question_about_many_asks_the_database_less_than_ten_times(
    admin: Client,
    model: type[Service | Stream],
    action: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    fill()
    sids = list(model.objects.values_list("sid", flat=True)[:50])
    fields = {"action": action, "_selected_action": sids}

    with django_assert_max_num_queries(9):
        url = f"/admin/sync_streams/{model._meta.model_name}/"
        assert admin.post(url, fields).status_code == 200
