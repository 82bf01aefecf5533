"""Users of the admin, and the data that they find there."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from sync_streams import operations
from sync_streams.models import Service, Stream
from tests.settings import ACCOUNT_SID

StaffClient = Callable[..., Client]


@pytest.fixture
def service(db: None) -> Service:
    return operations.create_service(ACCOUNT_SID, friendly_name="Chess")


@pytest.fixture
def stream(service: Service) -> Stream:
    return operations.create_stream(service, unique_name="board-1")


@pytest.fixture
def admin(db: None) -> Client:
    """The test client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def staff(db: None) -> StaffClient:
    """Log in a staff user who has only the named permissions."""
    return with_permissions


def with_permissions(*names: str) -> Client:
    """Return the test client of a staff user who has only these permissions."""
    user = User.objects.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client
