"""Host projects that a test starts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.hosts.host import UVICORN, Host

StartHost = Callable[..., Host]


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[StartHost]:
    """Migrate and serve a host project: ``start_host("router", HOST_POSTGRES="…")``."""
    hosts: list[Host] = []

    def start(
        variant: str, *databases: str, server: str = UVICORN, **environ: str
    ) -> Host:
        host = Host(tmp_path, variant, **environ)
        hosts.append(host)
        for database in databases or ("default",):
            host.manage("migrate", "--verbosity", "0", "--database", database)
        host.serve(server)
        return host

    yield start
    for host in hosts:
        host.stop()


@pytest.fixture
def host_postgres(postgres_url: str) -> str:
    """An empty database, as ``HOST_POSTGRES`` names it."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS host WITH (FORCE)")
        connection.execute("CREATE DATABASE host")
        info = connection.info
        return f"{info.host} {info.port} {info.user} host"
