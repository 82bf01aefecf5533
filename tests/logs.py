"""Lines of the log: those of one logger, since any other may write at any time."""

import pytest


def lines_of(logger: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the captured lines of a logger and of those below it."""
    return [
        record.getMessage()
        for record in caplog.records
        if f"{record.name}.".startswith(f"{logger}.")
    ]
