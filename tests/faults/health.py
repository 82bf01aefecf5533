"""The health that workers report."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp

from tests.faults.worker import Worker

READY_SECONDS = 60


async def ask(worker: Worker, path: str) -> tuple[int, Any]:
    """Return the status and the body of a GET."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(worker.base_url + path) as answer,
    ):
        return answer.status, await answer.json()


async def until_answered(worker: Worker, path: str) -> tuple[int, Any]:
    """Do as :func:`ask`; come again while the worker has no descriptor to answer."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            with suppress(aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                return await ask(worker, path)


async def until_ready(worker: Worker, status: int = 200) -> Any:
    """Wait until readyz answers with a status; return its body."""
    async with asyncio.timeout(READY_SECONDS):
        while (answer := await until_answered(worker, "/readyz"))[0] != status:
            continue
    return answer[1]
