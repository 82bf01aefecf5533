"""A Prometheus for the tests of a module, beside that module's workers."""

from collections.abc import Iterator

import pytest

from tests.metrics.prometheus import scraping
from tests.metrics.workers import Workers


@pytest.fixture(scope="module")
def prometheus(
    workers: Workers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with scraping(tmp_path_factory.mktemp("prometheus"), workers.base_url) as api:
        yield api
