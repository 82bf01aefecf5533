"""People who open the admin, and what they find there."""

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
    """The browser of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def staff(db: None) -> StaffClient:
    """Log in somebody of the staff who has only the permissions named."""
    return with_permissions


def with_permissions(*names: str) -> Client:
    """Return the browser of somebody of the staff who has these permissions alone."""
    user = User.objects.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client
