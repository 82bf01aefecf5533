"""Close codes: why the server ends a connection, and whether to come back."""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server ends a connection; the number is the WebSocket close code.

    All are of the range that RFC 6455, section 7.4.2, leaves to applications: Daphne
    refuses to send another one.
    """

    TOO_SLOW = 4000
    """The client takes nothing any more; come back when it can."""

    NOT_CONNECTED = 4001
    """No access token came in time, as over a bad network; come back."""

    TOKEN_INVALID = 4002
    """The access token was refused, or its key removed."""

    TOKEN_EXPIRED = 4003
    """The access token lapsed; come back with another one."""

    TOO_MANY_FRAMES = 4004
    """The client goes on sending more than it may; come back more quietly."""

    PROTOCOL_VIOLATED = 4005
    """The client does not speak the protocol."""

    SERVER_BUSY = 4006
    """The process takes no more connections now; come back later."""

    DISCONNECTED = 4007
    """An operator ended the connections of this identity."""

    SERVER_LEAVING = 4008
    """The process stops or hears nothing any more; come back, to another one."""

    @property
    def reason(self) -> str:
        """English text for the wire."""
        return self.name.replace("_", " ").lower()

    @property
    def may_reconnect(self) -> bool:
        """Whether the same client may come back by itself."""
        return self not in {
            CloseCode.PROTOCOL_VIOLATED,
            CloseCode.TOKEN_INVALID,
            CloseCode.DISCONNECTED,
        }
