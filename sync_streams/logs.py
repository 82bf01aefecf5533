"""Logs: request ids and JSON lines, for use in ``LOGGING``.

``docs/deployment.md`` shows how. Nothing here is used unless the settings name it.
"""

import json
import logging
import time

REQUEST_ID = "sync_streams.request_id"
"""Key in a request's ``META`` of the id in the response's ``Twilio-Request-Id``."""


class RequestIdFilter(logging.Filter):
    """Gives each record a ``request_id``: the request's, or ``-``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; no record is filtered out."""
        record.request_id = _request_id(record)
        return True


class JSONFormatter(logging.Formatter):
    """Writes each record as one line of JSON.

    Its fields are ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``,
    ``process`` (its id), ``request_id`` and ``status`` of a request, ``traceback``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if (request_id := _request_id(record)) != "-":
            fields["request_id"] = request_id
        if (status := getattr(record, "status_code", None)) is not None:
            fields["status"] = status
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=str)


def _request_id(record: logging.LogRecord) -> str:
    # Other loggers may attach a "request" that is not Django's.
    meta = getattr(getattr(record, "request", None), "META", {})
    return str(meta.get(REQUEST_ID, "-"))
