"""The default Service and a Stream of it, for connections to the JSON socket."""

import pytest

from sync_streams import operations
from sync_streams.models import Service, Stream
from tests.settings import ACCOUNT_SID


@pytest.fixture
def service() -> Service:
    return operations.get_service(ACCOUNT_SID, "default")


@pytest.fixture
def stream(service: Service) -> Stream:
    return operations.create_stream(service, unique_name="news")
