"""Errors: the numbers of Twilio's dictionary, each once."""

from collections.abc import Iterator

import pytest

from sync_streams import errors
from sync_streams.errors import RateLimited, SyncError
from sync_streams.rest import pagination


def leaves(kind: type[SyncError] = SyncError) -> Iterator[type[SyncError]]:
    for derived in kind.__subclasses__():
        yield derived
        yield from leaves(derived)


def test_every_code_is_that_of_one_error() -> None:
    codes = [error.code for error in leaves()]

    assert pagination.InvalidPageToken.code in codes  # errors of its own, drawn, too
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", [*leaves()], ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree(error: type[SyncError]) -> None:
    line = next(
        line
        for line in str(errors.__doc__).splitlines()
        if f" {error.__name__} " in line
    )

    assert str(error.code) in line


@pytest.mark.parametrize("error", [*leaves()], ids=lambda error: error.__name__)
def test_every_error_has_a_status_and_a_text(error: type[SyncError]) -> None:
    assert 400 <= error.status <= 503
    assert error.message
    assert not error.message.endswith(".")


def test_more_info_leads_to_the_codes_page() -> None:
    assert errors.NotFound().more_info == "https://www.twilio.com/docs/errors/20404"


def test_a_rate_error_names_its_stream_and_the_wait() -> None:
    error = RateLimited("TO1", 0.25)

    assert error.text == "Rate limit exceeded for write-stream-TO1"
    assert error.retry_after == 0.25
