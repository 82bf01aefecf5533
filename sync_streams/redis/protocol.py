"""Redis' protocol, parsed and written by hiredis.

https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from typing import Any, Protocol, TypeAlias, cast

from django.core.exceptions import ImproperlyConfigured

try:
    import hiredis
except ImportError:  # other layers do not need it
    hiredis = None  # type: ignore[assignment]

Word: TypeAlias = str | bytes | int


class ReplyError(Exception):
    """An error reply; its text starts with a code: ``READONLY …``."""

    @property
    def code(self) -> str:
        """The code: ``READONLY``."""
        return str(self).partition(" ")[0]


class Reader(Protocol):
    """Parses bytes into replies."""

    def feed(self, data: bytes, /) -> None:
        """Add data that was read."""

    def gets(self) -> Any:
        """Return the next complete reply, or ``False`` if there is none yet."""


def new_reader() -> Reader:
    """Return a reader; it raises :func:`protocol_error`."""
    return cast(Reader, hiredis.Reader(replyError=ReplyError))


def protocol_error() -> type[Exception]:
    """Return the exception that a reader raises for invalid data."""
    return hiredis.HiredisError


def pack(*words: Word) -> bytes:
    """Encode a command."""
    return cast(bytes, hiredis.pack_command(cast(Any, words)))


def check_available() -> None:
    """Make sure that the parser is installed.

    Raises:
        ImproperlyConfigured: hiredis is not installed.
    """
    if hiredis is None:
        raise ImproperlyConfigured(
            'RedisChannelLayer needs hiredis: pip install "sync-streams[redis]".'
        )
