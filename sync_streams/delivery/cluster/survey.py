"""Survey: a question to every process, and the answers of those that are quick.

Nothing is stored: a question goes to the group of all processes, and each answers on a
channel made for the question. See
https://channels.readthedocs.io/en/stable/topics/channel_layers.html#single-channels.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from sync_streams.delivery.events import process_group

from .broadcast import channel_layer, send_to_group, unavailable
from .event_loop import run_on_loop

GATHER_SECONDS = 0.25
"""Time that the processes have to answer."""

Answers = dict[str, dict[str, Any]]
"""What each process answered, by its name."""


async def aask(question: Mapping[str, Any]) -> Answers:
    """Ask every process.

    Takes :data:`GATHER_SECONDS`. A process that has not served a socket yet does not
    answer, and one that answers late is left out.

    Args:
        question: an event; its type has a handler in ``hub.hooks``, which calls
            :func:`reply`.

    Raises:
        ServiceUnavailable: 20503, the channel layer failed.
    """
    answers: Answers = {}
    try:
        async with asyncio.timeout(GATHER_SECONDS):
            await _gather(question, answers)
    except TimeoutError:
        pass
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unavailable(error) from error
    return answers


def ask(question: Mapping[str, Any]) -> Answers:
    """Do as :func:`aask` does, from synchronous code of any thread."""
    return run_on_loop(aask(question))


async def reply(question: Mapping[str, Any], **fields: Any) -> None:
    """Answer a question for this process, if it asks for an answer."""
    channel = question.get("reply_to")
    if channel is not None:
        answer = {"type": "survey.answer", "process": process_name(), **fields}
        await channel_layer().send(channel, answer)


def process_name() -> str:
    """Return the name of this process among all: ``host:process id``."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def _gather(question: Mapping[str, Any], answers: Answers) -> None:
    layer = channel_layer()
    channel = await layer.new_channel()
    await send_to_group(process_group(), {**question, "reply_to": channel})
    while True:
        answer = await layer.receive(channel)
        answers[answer["process"]] = answer
