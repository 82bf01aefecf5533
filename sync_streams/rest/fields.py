"""Serializer fields: parameters as requests carry them, dates as answers do.

Twilio has a code of its own for most parameters, so a wrong value is a ``SyncError``
and not Django REST framework's list of complaints.
"""

import re
from datetime import datetime
from typing import Any

from rest_framework import serializers

from sync_streams.errors import InvalidParameter, SyncError
from sync_streams.utc import to_iso

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


class TextParameter(serializers.Field[Any, Any, Any, Any]):
    """Text; whether it is good text, the operation decides."""

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
        """Return the error that answers a wrong value."""
        if self.error is InvalidParameter:
            return InvalidParameter(f"Invalid {self.field_name}")
        return self.error()


class ClearableParameter(TextParameter):
    """Text that is taken away by sending it empty."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(data) or None


class NumberParameter(TextParameter):
    """A whole number, in decimal digits or as JSON has it."""

    def to_internal_value(self, data: Any) -> Any:
        is_number = isinstance(data, str | int) and not isinstance(data, bool)
        if not is_number or not _WHOLE_NUMBER.fullmatch(str(data)):
            raise self.refusal()
        return int(data)


class TtlParameter(NumberParameter):
    """Seconds; empty is the same as left out."""

    def to_internal_value(self, data: Any) -> Any:
        return None if data == "" else super().to_internal_value(data)


class BooleanParameter(TextParameter):
    """``true`` or ``false``, in any case or as JSON has them."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool):
            return data
        if not isinstance(data, str) or data.lower() not in _BOOLEANS:
            raise self.refusal()
        return _BOOLEANS[data.lower()]


class WireDate(serializers.Field[datetime, Any, str, Any]):
    """A moment in UTC to the second: Twilio's Python library reads no other form."""

    def to_representation(self, value: datetime) -> str:
        return to_iso(value)
