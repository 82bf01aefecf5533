"""Cycles: the requests that uvicorn has passed to the application.

A cycle is a request with its response. The protocol keeps the newest one, and in its
pipeline those that wait for the response to an earlier request.
"""

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
