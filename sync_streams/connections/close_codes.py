"""Close codes: why the server closes a connection, and whether to reconnect."""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server closes a connection; the number is the WebSocket close code.

    All are in the range that RFC 6455, section 7.4.2, reserves for applications; Daphne
    refuses to send any other.
    """

    TOO_SLOW = 4000
    """The client has stopped reading; reconnect when it can."""

    NOT_CONNECTED = 4001
    """No access token arrived in time, as on a bad network; reconnect."""

    TOKEN_INVALID = 4002
    """The access token was refused, or its key was removed."""

    TOKEN_EXPIRED = 4003
    """The access token expired; reconnect with a new one."""

    TOO_MANY_FRAMES = 4004
    """The client keeps exceeding its limits; reconnect and send less."""

    PROTOCOL_VIOLATED = 4005
    """The client violates the protocol."""

    SERVER_BUSY = 4006
    """The process accepts no more connections for now; reconnect later."""

    DISCONNECTED = 4007
    """An operator closed the connections of this identity."""

    GOING_AWAY = 4008
    """The process is stopping or unreachable; reconnect to another one."""

    @property
    def reason(self) -> str:
        """English text for the wire."""
        if self is CloseCode.GOING_AWAY:  # clients know it by this text
            return "server leaving"
        return self.name.replace("_", " ").lower()

    @property
    def may_reconnect(self) -> bool:
        """Whether the client may reconnect by itself."""
        return self not in {
            CloseCode.PROTOCOL_VIOLATED,
            CloseCode.TOKEN_INVALID,
            CloseCode.DISCONNECTED,
        }
