"""A client of Server-Sent Events that reads them as the format says."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

WAIT_SECONDS = 30


@dataclass(slots=True)
class Event:
    """One event."""

    name: str = "message"
    id: str = ""
    retry: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class EventSource:
    """``async with`` opens a stream; :meth:`next` returns its events in turn."""

    def __init__(self, url: str, **headers: str) -> None:
        self._url = url
        self._headers = {"Accept": "text/event-stream"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.comments = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self.answer = await self._session.get(self._url, headers=self._headers)
        if self.answer.status == 200:
            first = await self.next()
            assert first.retry.isdecimal()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answer.close()
        await self._session.close()

    async def next(self) -> Event:
        """Return the next event; raises ``EOFError`` once the response is over."""
        event = Event()
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                line = (await self.answer.content.readline()).decode()
                if not line:
                    raise EOFError
                if line != "\n":
                    self._read(event, line.rstrip("\n"))
                elif event != Event():
                    return event

    def _read(self, event: Event, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "data":
                event.lines.append(value)
            case "event":
                event.name = value
            case "id":
                event.id = value
            case "retry":
                event.retry = value
