"""Redis' protocol, as hiredis reads and writes it.

https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from typing import Any, Protocol, TypeAlias, cast

from django.core.exceptions import ImproperlyConfigured

try:
    import hiredis
except ImportError:  # other layers do without
    hiredis = None  # type: ignore[assignment]

Word: TypeAlias = str | bytes | int


class ReplyError(Exception):
    """A reply that is an error; its text begins with a code: ``READONLY …``."""

    @property
    def code(self) -> str:
        """The code: ``READONLY``."""
        return str(self).partition(" ")[0]


class Reader(Protocol):
    """Makes replies of bytes."""

    def feed(self, data: bytes, /) -> None:
        """Take what was read."""

    def gets(self) -> Any:
        """Return the next whole reply; ``False``: there is none yet."""


def new_reader() -> Reader:
    """Return a reader, which raises :func:`protocol_error`."""
    return cast(Reader, hiredis.Reader(replyError=ReplyError))


def protocol_error() -> type[Exception]:
    """Return what a reader raises about bytes that are not Redis' protocol."""
    return hiredis.HiredisError


def pack(*words: Word) -> bytes:
    """Write a command."""
    return cast(bytes, hiredis.pack_command(cast(Any, words)))


def check_available() -> None:
    """Make sure that there is what reads the protocol.

    Raises:
        ImproperlyConfigured: hiredis is not installed.
    """
    if hiredis is None:
        raise ImproperlyConfigured(
            'RedisChannelLayer needs hiredis: pip install "sync-streams[redis]".'
        )
