"""Survey: a question to every process, and the replies that arrive in time.

Nothing is stored: a question goes to the group of all processes, and each replies on
the channel on which the asking process receives everything else. A process that
receives nothing else creates a channel for the question. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#single-channels.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from time import monotonic
from typing import Any, TypeAlias

from channels.layers import BaseChannelLayer
from django.core.exceptions import ImproperlyConfigured

from sync_streams.delivery.events import ANSWER, process_group
from sync_streams.processes.per_loop import PerLoop

from .broadcast import channel_layer, send_to_group, unavailable
from .event_loop import run_on_loop

GATHER_SECONDS = 0.25
"""Time for the processes to reply."""

PATIENCE_SECONDS = 2.0
"""Time for processes that replied earlier, if the caller waits for them."""

CLOSE_SECONDS = 1
"""Time for the layer to stop, when the time for replies is up."""

REMEMBERED_SECONDS = 600
MAX_REMEMBERED = 256
"""How long, and how many, replying processes are remembered."""

Answers = dict[str, dict[str, Any]]
"""Replies by process name, each with ``answered_ms``, the time it took."""

Take: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Called with each reply."""

_last_answers: dict[str, float] = {}


class Replies:
    """Replies that arrive on the channel of this event loop's hub, by question."""

    def __init__(self) -> None:
        self.channel: Callable[[], str | None] = lambda: None
        """Returns the channel on which a hub receives, if one does."""
        self._numbers = count(1)
        self._open: dict[int, Take] = {}

    @contextmanager
    def to_question(self, take: Take) -> Iterator[int]:
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
        question: an event whose type has a handler in ``hooks`` that calls
            :func:`reply`.
        is_patient: wait up to :data:`PATIENCE_SECONDS` for :func:`silent` processes.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    answers: Answers = {}
    asked, news = monotonic(), asyncio.Event()

    def take(answer: Mapping[str, Any]) -> None:
        name, now = answer["process"], monotonic()
        answers[name] = {**answer, "answered_ms": round((now - asked) * 1000)}
        _remember(name, now)
        news.set()

    try:
        async with _asking(question, take) as asking:
            await asyncio.wait([asking], timeout=GATHER_SECONDS)
            if asking.done():
                asking.result()
                await asyncio.sleep(asked + GATHER_SECONDS - monotonic())
            while is_patient and silent(answers):
                news.clear()
                async with asyncio.timeout(asked + PATIENCE_SECONDS - monotonic()):
                    await news.wait()
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
    ages = {name: int(now - moment) for name, moment in _last_answers.items()}
    return {
        name: age
        for name, age in ages.items()
        if name not in answers and age < REMEMBERED_SECONDS
    }


def process_name() -> str:
    """Return the unique name of this process: ``host:process id``."""
    return f"{socket.gethostname()}:{os.getpid()}"


@asynccontextmanager
async def _asking(
    question: Mapping[str, Any], take: Take
) -> AsyncIterator[asyncio.Task[None]]:
    """Ask in a task, and take replies until the end."""
    current = replies.get()
    channel = current.channel()
    with current.to_question(take) as number:
        if channel is None:
            asking = asyncio.create_task(_ask_alone(question, take))
        else:
            # A receiver only for this question would have to be cancelled. The core
            # layer of channels-redis keeps everything sent to any channel of a process
            # in one place, and a cancelled receiver loses what it has taken from there,
            # perhaps a Message for the hub.
            address = {"reply_to": channel, "question": number}
            sending = send_to_group(process_group(), {**question, **address})
            asking = asyncio.create_task(sending)
        asking.add_done_callback(_forgive)
        try:
            yield asking
        finally:
            asking.cancel()
            # Not every layer ends when it is cancelled.
            await asyncio.wait([asking], timeout=CLOSE_SECONDS)


async def _ask_alone(question: Mapping[str, Any], take: Take) -> None:
    layer = channel_layer()
    channel = await layer.new_channel()
    # A layer closes a channel only when its receiver is cancelled.
    receiving = asyncio.create_task(_receive(layer, channel, take))
    receiving.add_done_callback(_forgive)
    try:
        await asyncio.sleep(0)
        await send_to_group(process_group(), {**question, "reply_to": channel})
        await receiving
    finally:
        receiving.cancel()
        await asyncio.wait([receiving], timeout=CLOSE_SECONDS)


async def _receive(layer: BaseChannelLayer, channel: str, take: Take) -> None:
    while True:
        take(await layer.receive(channel))


def _forgive(task: asyncio.Task[None]) -> None:
    # A failure after the time is up does not matter, but asyncio would log it.
    if not task.cancelled():
        task.exception()


def _remember(name: str, moment: float) -> None:
    _last_answers.pop(name, None)
    _last_answers[name] = moment
    if len(_last_answers) > MAX_REMEMBERED:
        del _last_answers[next(iter(_last_answers))]
