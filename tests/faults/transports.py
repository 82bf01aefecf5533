"""Subscribers over the other transports, which reconnect as their clients do."""

import asyncio
import time
from typing import Any

import aiohttp

from tests.clients.sse import EventSource
from tests.compat.twilio_sync.sdk import Sdk, SdkClient
from tests.faults.rig import Span, Subscriber
from tests.faults.worker import ACCOUNT


class EventStreamSubscriber(Subscriber):
    """Reads one Stream's events, and reconnects like a browser's ``EventSource``."""

    def __init__(self, base_url: str, stream: str) -> None:
        super().__init__(base_url, stream)
        path = f"/v1/Services/default/Streams/{stream}/Events"
        self._events_url = base_url + path
        self._last_id = ""

    async def _connect(self) -> float | None:
        headers = ACCOUNT.headers
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        try:
            async with EventSource(self._events_url, **headers) as events:
                if events.answer.status != 200:
                    return None
                return await self._read(events)
        except (EOFError, aiohttp.ClientError):
            return None

    async def _read(self, events: EventSource) -> float | None:
        began = time.monotonic()
        self.spans.append(Span())
        await self._note(is_subscribed=True)
        while True:
            event = await events.next()
            match event.name:
                case "message":
                    self._last_id, sid = event.id, event.json["stream_sid"]
                    self.sids[self._streams[0]] = sid
                    self.spans[-1].subscribed.setdefault(sid, began)
                    await self._take_message(event.json)
                case "gap":
                    await self._take_gap(event.json["stream_sid"])
                case "closing":
                    return float(event.json["reconnect_after"])


class SdkSubscriber(Subscriber):
    """An official SDK, which restores its own connection and subscription."""

    def __init__(self, sdk: Sdk, base_url: str, stream: str, **options: Any) -> None:
        super().__init__(base_url, stream)
        self._sdk, self._connects = sdk, base_url.replace("http", "ws", 1)
        self._options = options
        self._client: SdkClient
        self._noting: set[asyncio.Task[None]] = set()

    async def _stay(self) -> None:
        uri = f"{self._connects}/v3/wsconnect"
        self._client = await self._sdk.client(
            ACCOUNT.token("alice"), uri, **self._options
        )
        self._client.listeners.append(self._take_event)
        stream = await self._client.stream(self._streams[0])
        stream.listeners.append(self._take_event)
        self._sid = stream.sid
        await self._note(is_subscribed=True)
        await asyncio.Event().wait()

    def _take_event(self, name: str, args: Any) -> None:
        if name == "messagePublished":
            self._take_published(int(args["data"]["n"]))
        elif name == "connectionStateChanged" and args != "connected":
            # The application is told, whatever it does then.
            self.lost += self.is_subscribed and not self.spans[-1].is_over
            for span in self.spans:
                span.is_over = True
        task = asyncio.ensure_future(self._note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    def _take_published(self, number: int) -> None:
        if not self.received:
            self.first, self.sids[self._streams[0]] = number, self._sid
        if not self.spans or self.spans[-1].is_over:
            # It does not report when it is subscribed again; now it is.
            self.spans.append(Span(subscribed={self._sid: time.monotonic()}))
        self._take_number(number)
