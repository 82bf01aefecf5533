"""Survey: a question to every process, and the replies that arrive in time.

Nothing is stored: a question goes to the group of all processes, and each replies on
the channel on which the asking process receives everything else. A process that
receives nothing else creates a channel for the question. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#single-channels.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from time import monotonic
from typing import Any

from channels.layers import BaseChannelLayer
from django.core.exceptions import ImproperlyConfigured

from sync_streams.delivery.events import ANSWER, process_group
from sync_streams.processes.per_loop import PerLoop

from .broadcast import channel_layer, send_to_group, unavailable
from .event_loop import run_on_loop

GATHER_SECONDS = 0.25
"""Time for the processes to reply."""

PATIENCE_SECONDS = 2.0
"""Time for processes that replied before, if the caller waits for them."""

REMEMBERED_SECONDS = 600
MAX_REMEMBERED = 256
"""How long, and how many, processes that replied are remembered."""

Answers = dict[str, dict[str, Any]]
"""Replies by process name, each with ``answered_ms``, the time it took."""

_heard: dict[str, float] = {}


class Replies:
    """Replies that arrive on the channel of this event loop's hub, by question."""

    def __init__(self) -> None:
        self.channel: Callable[[], str | None] = lambda: None
        """Returns the channel on which a hub receives, if one does."""
        self._numbers = count(1)
        self._open: dict[int, Callable[[Mapping[str, Any]], None]] = {}

    @contextmanager
    def to_question(self, take: Callable[[Mapping[str, Any]], None]) -> Iterator[int]:
        """Pass on the replies to a question; return its number."""
        number = next(self._numbers)
        self._open[number] = take
        try:
            yield number
        finally:
            del self._open[number]

    def take(self, answer: Mapping[str, Any]) -> None:
        """Handle a reply; one that is too late is ignored."""
        number = answer.get("question")
        if isinstance(number, int) and number in self._open:
            self._open[number](answer)


replies = PerLoop(Replies)


async def aask(question: Mapping[str, Any], *, is_patient: bool = False) -> Answers:
    """Ask every process.

    Takes :data:`GATHER_SECONDS`. A process that is not receiving yet does not reply,
    and a late reply is left out.

    Args:
        question: an event whose type has a handler in ``hub.hooks`` that calls
            :func:`reply`.
        is_patient: wait up to :data:`PATIENCE_SECONDS` for :func:`silent` processes.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    answers: Answers = {}
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS) as limit:
            # A second timeout would not do: layers forget the channel of a cancelled
            # receiver.
            def end_unless_waiting() -> None:
                if not limit.expired() and not (is_patient and silent(answers)):
                    limit.reschedule(loop.time())

            check = loop.call_later(GATHER_SECONDS, end_unless_waiting)
            try:
                await _gather(question, answers)
            finally:
                check.cancel()
    except TimeoutError:
        pass
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unavailable(error) from error
    return answers


def ask(question: Mapping[str, Any], *, is_patient: bool = False) -> Answers:
    """Synchronous version of :func:`aask`, for any thread."""
    return run_on_loop(aask(question, is_patient=is_patient))


async def reply(question: Mapping[str, Any], **fields: Any) -> None:
    """Reply to a question for this process, if a reply is requested."""
    channel = question.get("reply_to")
    if channel is not None:
        answer = {"type": ANSWER, "process": process_name(), **fields}
        answer["question"] = question.get("question")
        await channel_layer().send(channel, answer)


def silent(answers: Answers) -> dict[str, int]:
    """Return the processes that replied before but not now.

    Returns:
        Seconds since the last reply by process name, at most
        :data:`REMEMBERED_SECONDS`.
    """
    now = monotonic()
    ages = {name: int(now - moment) for name, moment in _heard.items()}
    return {
        name: age
        for name, age in ages.items()
        if name not in answers and age < REMEMBERED_SECONDS
    }


def process_name() -> str:
    """Return the unique name of this process: ``host:process id``."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def _gather(question: Mapping[str, Any], answers: Answers) -> None:
    asked = monotonic()

    def take(answer: Mapping[str, Any]) -> None:
        name, now = answer["process"], monotonic()
        answers[name] = {**answer, "answered_ms": round((now - asked) * 1000)}
        _remember(name, now)

    inbox = replies.get()
    channel = inbox.channel()
    if channel is None:
        await _gather_alone(question, take)
        return
    # A receiver for the question alone would have to be cancelled. The core layer of
    # channels-redis keeps what is sent to any channel of a process in one place, and a
    # cancelled receiver loses what it has taken from there: perhaps the hub's Message.
    with inbox.to_question(take) as number:
        address = {"reply_to": channel, "question": number}
        await send_to_group(process_group(), {**question, **address})
        await asyncio.get_running_loop().create_future()


async def _gather_alone(
    question: Mapping[str, Any], take: Callable[[Mapping[str, Any]], None]
) -> None:
    layer = channel_layer()
    channel = await layer.new_channel()
    # A layer closes a channel only when its receiver is cancelled.
    receiving = asyncio.create_task(_receive(layer, channel, take))
    try:
        await asyncio.sleep(0)
        await send_to_group(process_group(), {**question, "reply_to": channel})
        await receiving
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def _receive(
    layer: BaseChannelLayer, channel: str, take: Callable[[Mapping[str, Any]], None]
) -> None:
    while True:
        take(await layer.receive(channel))


def _remember(name: str, moment: float) -> None:
    _heard.pop(name, None)
    _heard[name] = moment
    if len(_heard) > MAX_REMEMBERED:
        del _heard[next(iter(_heard))]
