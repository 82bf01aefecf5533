"""Logs: request ids and JSON lines, for use in ``LOGGING``.

``docs/deployment.md`` shows how. Nothing here is used unless the settings name it.
"""

import json
import logging
import os
import sys
import time
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

CLOSE_SECONDS = 1
"""Time allowed at exit for waiting lines."""

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


class BackgroundHandler(logging.Handler):
    """Writes to standard error in a thread of its own.

    A terminal, a pipe or a disk that accepts nothing more would otherwise block the
    event loop at its next log line. Up to *capacity* lines wait; any more are dropped
    and counted, and a line says how many as soon as one can be written again.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        """Write lines as they arrive, and at exit for up to a second."""
        # Not a QueueHandler: since Python 3.12, ``dictConfig`` gives it a queue of its
        # own.
        super().__init__()
        self._waiting: Queue[str | None] = Queue(capacity)
        self._process = 0
        self.dropped = 0
        """Lines dropped so far."""
        self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record's line to the thread, or drop it."""
        if self._process != os.getpid():  # at first, or in a forked child
            self._start()
        try:
            self._waiting.put_nowait(self.format(record))
        except Full:
            self.dropped += 1
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write waiting lines, for at most a second."""
        if self._process == os.getpid():
            with suppress(Full):
                self._waiting.put(None, timeout=CLOSE_SECONDS)
                self._thread.join(CLOSE_SECONDS)
        super().close()

    def _start(self) -> None:
        self._process = os.getpid()
        # The parent may have held its lock at the time of the fork.
        self._waiting = Queue(self._waiting.maxsize)
        arguments = self._waiting, _standard_error()
        self._thread = Thread(target=self._write, args=arguments, daemon=True)
        self._thread.start()

    def _write(self, waiting: "Queue[str | None]", sink: logging.Handler) -> None:
        while (line := waiting.get()) is not None:
            sink.handle(logging.makeLogRecord({"msg": line}))
            if (dropped := self.dropped - self._told) > 0:
                self._told += dropped
                sink.handle(_note_of(dropped))


def _standard_error() -> logging.Handler:
    # A separate stream: Python's is locked while it blocks, even at exit.
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError):  # replaced, as in tests
        return logging.StreamHandler()
    return logging.StreamHandler(open(number, "w", closefd=False))


def _note_of(dropped: int) -> logging.LogRecord:
    text = f"{dropped} log lines were dropped, since they were not taken in time"
    return logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)


def _request_id(record: logging.LogRecord) -> str:
    # Other loggers may attach a "request" that is not Django's.
    meta = getattr(getattr(record, "request", None), "META", {})
    return str(meta.get(REQUEST_ID, "-"))
