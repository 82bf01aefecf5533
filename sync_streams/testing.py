"""Helpers for the host project's own tests: published Messages, and a subscriber.

They need no server, no mock, and not the Redis that the settings may name: while one is
in use, Messages go over an in-memory channel layer, and this process counts the publish
rate.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from . import operations
from .conf import get_settings
from .delivery.cluster.broadcast import channel_layer
from .models import DEFAULT_SERVICE, Stream
from .operations.data import JSONObject, Message
from .publishing import first_account
from .signals import message_published
from .tokens import issue_token
from .websocket.consumers import JsonConsumer
from .websocket.protocol import SUBPROTOCOL

PATH = "/v1/websocket"
ANSWER_SECONDS = 5


IN_MEMORY = {
    "BACKEND": "sync_streams.layers.InMemoryChannelLayer",
    "CONFIG": {"capacity": 10_000},
}


class _InMemory:
    """Settings without Redis, in force while any helper is in use."""

    def __init__(self) -> None:
        self._users = 0
        self._overrides = ExitStack()

    def enter(self) -> None:
        if not self._users and not _is_in_memory():
            layers = {**getattr(settings, "CHANNEL_LAYERS", {}), "default": IN_MEMORY}
            ours = {**getattr(settings, "SYNC_STREAMS", {}), "REDIS_URL": ""}
            override = override_settings(CHANNEL_LAYERS=layers, SYNC_STREAMS=ours)
            self._overrides.enter_context(override)
        self._users += 1

    def leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._overrides.close()


def _is_in_memory() -> bool:
    try:
        layer = channel_layer()
    except ImproperlyConfigured:
        return False
    return isinstance(layer, InMemoryChannelLayer) and not get_settings().redis_url


_in_memory = _InMemory()


@contextmanager
def in_memory() -> Iterator[None]:
    """Use no Redis in this process, whatever the settings say.

    Messages published meanwhile reach only subscribers in this process. May be nested.
    In a test case: ``self.enterContext(in_memory())``.
    """
    _in_memory.enter()
    try:
        yield
    finally:
        _in_memory.leave()


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One captured Message."""

    stream: Stream
    """The Stream to which it was published."""

    message: Message
    """The Message; its data is ``message.data``."""

    identity: str
    """The publisher; ``system`` unless a socket's token or the caller set another."""


@contextmanager
def capture_published() -> Iterator[list[Published]]:
    """Collect the Messages that this process publishes, in order, :func:`in_memory`.

    Example::

        with capture_published() as published:
            self.client.post("/orders/", {"item": "tea"})
        assert published[0].message.data == {"item": "tea"}
    """
    captured: list[Published] = []

    def note(stream: Stream, message: Message, identity: str, **_: object) -> None:
        captured.append(Published(stream=stream, message=message, identity=identity))

    message_published.connect(note)
    try:
        with in_memory():
            yield captured
    finally:
        message_published.disconnect(note)


class PublishedMixin(SimpleTestCase):
    """For a Django ``TestCase``: collects the Messages that each test publishes.

    A ``TestCase`` never commits. To publish what waits for the commit, use
    ``with self.captureOnCommitCallbacks(execute=True)``. Example::

        class OrderTest(PublishedMixin, TestCase):
            streams = ("orders",)

            def test_order(self):
                self.client.post("/orders/", {"item": "tea"})

                self.assert_published("orders", {"item": "tea"})
    """

    streams: tuple[str, ...] = ()
    """Unique names of Streams created for each test, in the Service ``default``."""

    published: list[Published]
    """The published Messages, in order."""

    def setUp(self) -> None:
        super().setUp()
        service = operations.get_service(first_account(), DEFAULT_SERVICE)
        for name in self.streams:
            operations.obtain_stream(service, name)
        self.published = self.enterContext(capture_published())

    def assert_published(self, stream: str, *data: JSONObject) -> None:
        """Fail unless these, and no other, were published to the Stream, in order."""
        found = [
            one.message.data
            for one in self.published
            if stream in (one.stream.sid, one.stream.unique_name)
        ]
        self.assertEqual(found, list(data))  # noqa: PT009 - it shows the difference


class Refused(AssertionError):
    """The subscriber received an error frame, or its connection was closed."""

    def __init__(self, frame: JSONObject) -> None:
        super().__init__(f"{frame.get('code')}: {frame.get('message')}")
        self.code = frame.get("code")
        """Twilio's error code, or the close code."""


class Subscriber:
    """A JSON socket client in the test's process, subscribed to one Stream.

    While it is connected, this process is :func:`in_memory`. It works in an async test
    of any Django ``TestCase``; under pytest's own event loop it needs a database that
    other threads can see:
    ``@pytest.mark.django_db(transaction=True)``.

    Example::

        async with Subscriber("orders", identity="alice") as alice:
            await apublish("orders", {"item": "tea"})
            assert await alice.receive() == {"item": "tea"}
    """

    def __init__(
        self,
        stream: str,
        *,
        identity: str = "tester",
        service: str = DEFAULT_SERVICE,
        account_sid: str = "",
    ) -> None:
        """Create a subscriber; ``async with`` connects it.

        Args:
            stream: SID or unique name of the Stream.
            identity: the identity of its access token.
            service: SID or unique name of the Stream's Service.
            account_sid: the account; by default the first one in the settings.
        """
        self._stream = stream
        self._messages: deque[JSONObject] = deque()
        self._token = issue_token(identity, service, account_sid=account_sid)
        self._socket: Any = WebsocketCommunicator(
            JsonConsumer.as_asgi(), PATH, subprotocols=[SUBPROTOCOL]
        )

    async def __aenter__(self) -> Self:
        """Connect and subscribe.

        Raises:
            Refused: the token or the subscription was refused.
        """
        _in_memory.enter()
        try:
            await self._socket.connect()
            await self._ask("connect", token=self._token)
            await self._ask("subscribe", stream=self._stream)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave()

    async def receive(self, within: float = 5) -> JSONObject:
        """Return the data of the next Message.

        Raises:
            TimeoutError: none arrived within *within* seconds; one still may.
            Refused: the connection was closed.
        """
        async with asyncio.timeout(within):
            while not self._messages:
                await self._receive()
        return self._messages.popleft()

    async def receive_nothing(self, within: float = 0.2) -> bool:
        """Return whether no Message waits and none arrives within *within* seconds."""
        try:
            self._messages.appendleft(await self.receive(within))
        except TimeoutError:
            return True
        return False

    async def publish(self, data: JSONObject) -> str:
        """Publish to the Stream as this identity and return the Message's SID.

        Raises:
            Refused: the Message was refused.
        """
        answer = await self._ask("publish", stream=self._stream, data=data)
        return str(answer["message_sid"])

    async def _leave(self) -> None:
        try:
            await self._socket.disconnect()
        finally:
            _in_memory.leave()

    async def _ask(self, type_: str, **fields: object) -> JSONObject:
        await self._send({"type": type_, "id": 1, **fields})
        async with asyncio.timeout(ANSWER_SECONDS):
            while "id" not in (frame := await self._receive()):
                continue
        return frame

    async def _send(self, frame: JSONObject) -> None:
        await self._socket.send_to(text_data=json.dumps(frame))

    async def _receive(self) -> JSONObject:
        # The communicator's own method would end the socket after a timeout.
        event = await self._socket.output_queue.get()
        if event["type"] == "websocket.close":
            raise Refused({"code": event.get("code"), "message": "closed"})
        frame: JSONObject = json.loads(event["text"])
        match frame["type"]:
            case "message":
                self._messages.append(frame["message"]["data"])
            case "ping":
                await self._send({"type": "pong"})
            case "error":
                raise Refused(frame)
        return frame
