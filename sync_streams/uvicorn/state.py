"""What an HTTP connection on uvicorn is doing, as far as the server counts it."""

from enum import Enum


class State(Enum):
    """What a connection is doing. Nothing follows ``LEFT``."""

    SERVING = "serving"
    """It serves requests, or waits for one."""

    STREAMING = "streaming"
    """It sends a live response, which counts as a subscriber instead."""

    ENDING = "ending"
    """The server is stopping: the response to a publish is the last one."""

    LEFT = "left"
    """It is refused, closed or a WebSocket, and reads nothing more."""


# In Python 3.11 it takes 0.2 µs to look a member up in its class.
SERVING, STREAMING, ENDING, LEFT = State
