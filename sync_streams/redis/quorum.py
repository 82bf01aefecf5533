"""Asking several servers the same question."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from .health import RedisUnavailable

T = TypeVar("T")


async def first_answer(questions: Iterable[Coroutine[Any, Any, T]]) -> T:
    """Ask all at once, so that timeouts run in parallel; return the first answer.

    Raises:
        RedisUnavailable: none answered; with the reason of the last one.
    """
    asking = [asyncio.create_task(question) for question in questions]
    reason = ""
    try:
        for answer in asyncio.as_completed(asking):
            try:
                return await answer
            except RedisUnavailable as error:
                reason = error.reason
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    raise RedisUnavailable(reason)
