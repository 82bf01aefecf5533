"""Serializer fields: parameters in requests and dates in responses.

Twilio has a separate error code for most parameters, so an invalid value raises a
``SyncError`` rather than Django REST framework's list of validation errors.
"""

import re
from datetime import datetime
from typing import Any

from rest_framework import serializers

from sync_streams.errors import InvalidParameter, SyncError
from sync_streams.values.utc import to_iso

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


class TextParameter(serializers.Field[Any, Any, Any, Any]):
    """Text; the operation decides whether it is valid."""

    def __init__(
        self, error: type[SyncError] = InvalidParameter, **options: Any
    ) -> None:
        self.error = error
        super().__init__(required=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            raise self.refusal()
        return data

    def refusal(self) -> SyncError:
        """Return the error for an invalid value."""
        if self.error is InvalidParameter:
            return InvalidParameter(f"Invalid {self.field_name}")
        return self.error()


class ClearableParameter(TextParameter):
    """Text that an empty value clears."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(data) or None


class NumberParameter(TextParameter):
    """A whole number, in decimal digits or as a JSON number."""

    def to_internal_value(self, data: Any) -> Any:
        is_number = isinstance(data, str | int) and not isinstance(data, bool)
        if not is_number or not _WHOLE_NUMBER.fullmatch(str(data)):
            raise self.refusal()
        return int(data)


class TtlParameter(NumberParameter):
    """Seconds; an empty value counts as omitted."""

    def to_internal_value(self, data: Any) -> Any:
        return None if data == "" else super().to_internal_value(data)


class BooleanParameter(TextParameter):
    """``true`` or ``false``, as text in any case or as a JSON boolean."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool):
            return data
        if not isinstance(data, str) or data.lower() not in _BOOLEANS:
            raise self.refusal()
        return _BOOLEANS[data.lower()]


class WireDate(serializers.Field[datetime, Any, str, Any]):
    """A time in UTC, to the second: Twilio's Python library parses no other format."""

    def to_representation(self, value: datetime) -> str:
        return to_iso(value)
