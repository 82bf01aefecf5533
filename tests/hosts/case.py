"""A test of a host project, for its own test runner."""

import pytest
from django.test import TestCase

from sync_streams import operations
from sync_streams.errors import UniqueNameTaken
from sync_streams.models import Service, Stream
from sync_streams.publishing import apublish, publish
from sync_streams.testing import Subscriber, capture_published
from tests.settings import ACCOUNT_SID


class OrderTest(TestCase):
    """Everything happens in a transaction that is rolled back."""

    databases = "__all__"
    stream: Stream
    service: Service

    @classmethod
    def setUpTestData(cls) -> None:
        cls.service = operations.get_service(ACCOUNT_SID, "default")
        cls.stream = operations.create_stream(cls.service, unique_name="orders")

    async def test_an_order_is_published(self) -> None:
        with capture_published() as published:
            await apublish("orders", {"item": "tea"})

        assert published[0].message.data == {"item": "tea"}

    async def test_an_order_reaches_a_subscriber(self) -> None:
        async with Subscriber("orders") as subscriber:
            await apublish("orders", {"item": "tea"})

            assert await subscriber.receive() == {"item": "tea"}

    def test_an_order_is_published_synchronously(self) -> None:
        with capture_published() as published:
            publish(self.stream.sid, {"item": "tea"})

        assert published[0].stream == self.stream

    def test_an_error_leaves_the_transaction_usable(self) -> None:
        with pytest.raises(UniqueNameTaken):
            operations.create_stream(self.service, unique_name="orders")

        assert Stream.objects.count() == 1
