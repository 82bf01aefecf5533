"""For the host project's own tests: what was published, and a subscriber.

Both need no server and no mock: the channel layer of the test's settings carries what
is published, ``sync_streams.layers.InMemoryChannelLayer`` as a rule.
"""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from channels.testing import WebsocketCommunicator

from .models import DEFAULT_SERVICE, Stream
from .operations.data import JSONObject, Message
from .signals import message_published
from .tokens import issue_token
from .websocket.consumers import JsonConsumer
from .websocket.protocol import SUBPROTOCOL

PATH = "/v1/websocket"
ANSWER_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One Message that was published while somebody watched."""

    stream: Stream
    """Where to."""

    message: Message
    """What: ``message.data``."""

    identity: str
    """Who did; ``system`` unless a socket's token or the caller said otherwise."""


@contextmanager
def capture_published() -> Iterator[list[Published]]:
    """Collect what this process publishes, in order.

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
        yield captured
    finally:
        message_published.disconnect(note)


class Refused(AssertionError):
    """The subscriber was answered with an error frame."""

    def __init__(self, frame: JSONObject) -> None:
        super().__init__(f"{frame.get('code')}: {frame.get('message')}")
        self.code = frame.get("code")
        """Twilio's error code."""


class Subscriber:
    """A client on a JSON socket, subscribed to one Stream, in the test's process.

    Needs a database that other threads see: ``TransactionTestCase`` or
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
        """Make a subscriber; ``async with`` connects it.

        Args:
            stream: SID or unique name of the Stream.
            identity: who it is.
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
            Refused: the token or the subscription was.
        """
        await self._socket.connect()
        await self._ask("connect", token=self._token)
        await self._ask("subscribe", stream=self._stream)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._socket.disconnect()

    async def receive(self, within: float = 5) -> JSONObject:
        """Return the data of the next Message.

        Raises:
            TimeoutError: none came within *within* seconds; the socket is closed.
        """
        while not self._messages:
            await self._receive(within)
        return self._messages.popleft()

    async def receive_nothing(self, within: float = 0.2) -> bool:
        """Tell whether no Message waits and nothing comes for *within* seconds."""
        return not self._messages and bool(await self._socket.receive_nothing(within))

    async def publish(self, data: JSONObject) -> str:
        """Publish to the Stream as this identity and return the Message's SID.

        Raises:
            Refused: the Message was.
        """
        answer = await self._ask("publish", stream=self._stream, data=data)
        return str(answer["message_sid"])

    async def _ask(self, type_: str, **fields: object) -> JSONObject:
        await self._send({"type": type_, "id": 1, **fields})
        while "id" not in (frame := await self._receive(ANSWER_SECONDS)):
            continue
        return frame

    async def _send(self, frame: JSONObject) -> None:
        await self._socket.send_to(text_data=json.dumps(frame))

    async def _receive(self, within: float) -> JSONObject:
        frame: JSONObject = json.loads(await self._socket.receive_from(within))
        match frame["type"]:
            case "message":
                self._messages.append(frame["message"]["data"])
            case "ping":
                await self._send({"type": "pong"})
            case "error":
                raise Refused(frame)
        return frame
