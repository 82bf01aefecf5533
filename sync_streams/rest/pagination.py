"""Pages of a list, by keyset: concurrent creates and removes shift nothing.

See https://www.twilio.com/docs/usage/twilios-response#response-formats-list-paging-information.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar, cast
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from sync_streams.errors import InvalidParameter, SyncError
from sync_streams.models import Service, Stream

Record = TypeVar("Record", Service, Stream)

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100

_POSITIVE = re.compile(r"0*([1-9][0-9]*)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_CURSOR = re.compile(r"([<>])([0-9]{1,16})\.([A-Z]{2}[a-f0-9]{32})")


class InvalidPageToken(SyncError):
    """A page token was not issued by this server."""

    code, status, message = 54453, 400, "Invalid 'PageToken' query parameter"


class InvalidPageSize(SyncError):
    """A page size is not a whole number above 0."""

    code, status, message = 54454, 400, "Invalid 'PageSize' query parameter"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: before or after one of its records."""

    side: Literal["<", ">"]
    """Whether the page ends before the record or starts after it."""

    created: int
    """When the record was created, in microseconds since 1970."""

    sid: str
    """The record's SID, which breaks ties within a microsecond."""

    @classmethod
    def at(cls, side: Literal["<", ">"], record: Service | Stream) -> "Cursor":
        """Return the position on one side of a record."""
        return cls(side, round(record.date_created.timestamp() * 1e6), record.sid)

    @classmethod
    def from_token(cls, token: str) -> "Cursor":
        """Read a page token.

        Raises:
            InvalidPageToken: 54453, it was not issued by this server.
        """
        encoded = token.removeprefix("PT")
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            match = _CURSOR.fullmatch(urlsafe_b64decode(padded).decode())
        except ValueError as error:
            raise InvalidPageToken from error
        if match is None:
            raise InvalidPageToken
        side, created, sid = match.groups()
        cursor = cls(cast('Literal["<", ">"]', side), int(created), sid)
        if cursor.to_token() != token:
            raise InvalidPageToken
        return cursor

    def to_token(self) -> str:
        """Write the position as a page token."""
        text = f"{self.side}{self.created}.{self.sid}"
        return "PT" + urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def to_filter(self) -> Q:
        """Return the condition that selects all records on the cursor's side."""
        created = datetime.fromtimestamp(self.created / 1e6, tz=UTC)
        than = "gt" if self.side == ">" else "lt"
        return Q(**{f"date_created__{than}": created}) | Q(
            **{"date_created": created, f"sid__{than}": self.sid}
        )


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page that a request asks for: its size and its position."""

    size: int
    number: int
    cursor: Cursor | None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "PageQuery":
        """Read the query parameters of a URL.

        Raises:
            InvalidPageSize: 54454, not a whole number above 0.
            InvalidPageToken: 54453.
            InvalidParameter: 20001, ``Page`` is not a number, or is above 0
                without a token.
        """
        size, number = query.get("PageSize"), query.get("Page", "0")
        token = query.get("PageToken")
        cursor = None if token is None else Cursor.from_token(token)
        if not _NUMBER.fullmatch(number):
            raise InvalidParameter("Invalid Page")
        if int(number) > 0 and cursor is None:
            raise InvalidParameter("PageToken is required for paging.")
        return cls(_size(size), int(number), cursor)

    def to_url(self, url: str) -> str:
        """Return the URL that asks for this page of the list at *url*."""
        query = {"PageSize": str(self.size), "Page": str(self.number)}
        if self.cursor is not None:
            query["PageToken"] = self.cursor.to_token()
        return f"{url}?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """Consecutive records of a list, in order of creation."""

    query: PageQuery
    records: list[Record]
    has_previous: bool
    has_next: bool

    @classmethod
    def of(cls, records: QuerySet[Record], query: PageQuery) -> "Page[Record]":
        """Read a page, plus one record to find out whether another page follows."""
        cursor = query.cursor
        if cursor is not None:
            records = records.filter(cursor.to_filter())
        is_backward = cursor is not None and cursor.side == "<"
        order = ("-date_created", "-sid") if is_backward else ("date_created", "sid")
        found = list(records.order_by(*order)[: query.size + 1])
        has_more, found = len(found) > query.size, found[: query.size]
        if is_backward:
            return cls(query, found[::-1], has_more, has_next=True)
        return cls(query, found, cursor is not None, has_next=has_more)

    def to_meta(self, url: str, key: str) -> dict[str, object]:
        """Return a response's ``meta``; *key* is the name of its list of records."""
        query = self.query
        first = PageQuery(query.size, 0, None)
        return {
            "page": query.number,
            "page_size": query.size,
            "first_page_url": first.to_url(url),
            "previous_page_url": self._previous_url(url),
            "url": query.to_url(url),
            "next_page_url": self._next_url(url),
            "key": key,
        }

    def _previous_url(self, url: str) -> str | None:
        if not self.has_previous or not self.records:
            return None
        cursor = Cursor.at("<", self.records[0])
        number = max(0, self.query.number - 1)
        return PageQuery(self.query.size, number, cursor).to_url(url)

    def _next_url(self, url: str) -> str | None:
        if not self.has_next or not self.records:
            return None
        cursor = Cursor.at(">", self.records[-1])
        number = self.query.number + 1
        return PageQuery(self.query.size, number, cursor).to_url(url)


def _size(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE_SIZE
    match = _POSITIVE.fullmatch(text)
    if match is None:
        raise InvalidPageSize
    # Python refuses to parse thousands of digits; nine already exceed the maximum.
    return min(int(match[1][:9]), MAX_PAGE_SIZE)
