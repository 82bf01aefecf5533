"""Cycles: the requests that uvicorn has passed to the application.

A cycle is a request with its response. The protocol keeps the newest one, and in its
pipeline those that wait for the response to an earlier request.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)


def newest(http: HttpToolsProtocol) -> RequestResponseCycle | None:
    """Return a connection's newest cycle."""
    return http.cycle  # which is None at first, whatever its type says


def are_answered(http: HttpToolsProtocol) -> bool:
    """Tell whether the application has answered all requests."""
    cycle = newest(http)
    return not http.pipeline and (cycle is None or cycle.response_complete)


def can_refuse(http: HttpToolsProtocol, *, is_passed_on: bool) -> bool:
    """Tell whether a response now would belong to the request that is being read.

    Args:
        http: the connection.
        is_passed_on: whether that request is the newest cycle.
    """
    cycle = newest(http)
    if cycle is None or not is_passed_on:
        return are_answered(http)
    return not (http.pipeline or cycle.response_started)


def disconnect(*cycles: RequestResponseCycle | None) -> None:
    """Stop the application from writing; uvicorn only stops the newest request."""
    for cycle in cycles:
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected, cycle.body = True, bytearray()
            cycle.message_event.set()


def watched(
    app: Any, cycle: RequestResponseCycle, broken_off: Callable[[], None]
) -> Any:
    """Return an application that reports if it ends without completing its response.

    uvicorn then closes the connection and tells nobody.

    Args:
        app: the application.
        cycle: the request.
        broken_off: called once uvicorn has closed the connection.
    """

    async def run(*asgi: Any) -> Any:
        try:
            return await app(*asgi)
        finally:
            if not cycle.response_complete:
                asyncio.get_running_loop().call_soon(broken_off)

    return run
