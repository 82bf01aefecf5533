"""How many Services and Streams an account may have, at both edges."""

import pytest
from django.test import override_settings

from sync_streams import operations
from sync_streams.errors import QuotaExceeded, UniqueNameTaken
from sync_streams.models import Service, Stream
from tests.settings import ACCOUNT_SID

OTHER = "AC" + "0" * 31 + "9"
TWO_STREAMS = override_settings(SYNC_STREAMS={"MAX_STREAMS_PER_ACCOUNT": 2})
TWO_SERVICES = override_settings(SYNC_STREAMS={"MAX_SERVICES_PER_ACCOUNT": 2})

pytestmark = pytest.mark.django_db


@TWO_STREAMS
def test_the_third_stream_of_an_account_is_refused_in_whichever_service() -> None:
    first, second = (operations.create_service(ACCOUNT_SID) for _ in range(2))
    operations.create_stream(first)
    operations.create_stream(second)

    with pytest.raises(QuotaExceeded, match="Too many Streams of this account"):
        operations.create_stream(second, unique_name="third")

    assert Stream.objects.count() == 2
    operations.create_stream(operations.create_service(OTHER))


@TWO_STREAMS
def test_a_stream_that_is_removed_or_expired_makes_room(service: Service) -> None:
    kept = operations.create_stream(service)
    removed = operations.create_stream(service)
    operations.remove_stream(service, removed.sid)
    operations.create_stream(service, unique_name="news")
    with pytest.raises(QuotaExceeded):
        operations.create_stream(service)

    Stream.objects.filter(sid=kept.sid).update(date_expires=kept.date_created)
    operations.create_stream(service)


@TWO_STREAMS
def test_a_taken_name_is_reported_before_the_limit_and_can_be_obtained(
    service: Service, stream: Stream
) -> None:
    operations.create_stream(service)

    with pytest.raises(UniqueNameTaken):
        operations.create_stream(service, unique_name="news")
    assert operations.obtain_stream(service, "news") == stream


@TWO_SERVICES
def test_the_third_service_of_an_account_except_the_default_is_refused() -> None:
    first, second = (operations.create_service(ACCOUNT_SID) for _ in range(2))
    operations.get_service(ACCOUNT_SID, "default")

    with pytest.raises(QuotaExceeded, match="Too many Services of this account"):
        operations.create_service(ACCOUNT_SID)

    assert operations.list_services(ACCOUNT_SID).count() == 3
    operations.create_service(OTHER)
    operations.remove_service(first)
    operations.create_service(ACCOUNT_SID)
    operations.update_service(second, friendly_name="two")


def test_without_a_setting_there_is_no_limit(service: Service) -> None:
    for _ in range(60):
        operations.create_stream(service)
    assert operations.list_streams(service).count() == 60
