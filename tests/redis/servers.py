"""Redis servers in all shapes: behind TLS, on a Unix socket, as a cluster."""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.programs import RedisServer, Stoppable, free_port
from tests.waiting import wait_until

SLOTS = 16_384


class TlsServer(RedisServer):
    """A Redis that speaks only TLS, with its own certificate."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "redis.crt"
        key = folder / "redis.key"
        command = (
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        )
        names = "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"
        files = "-keyout", str(key), "-out", str(self.certificate)
        subprocess.run(
            [*command.split(), *names, *files], check=True, capture_output=True
        )
        port = free_port()
        super().__init__(
            *("--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(self.certificate), "--tls-key-file", str(key)),
        )
        self.address = f"localhost:{port}"


class UnixServer(RedisServer):
    """A Redis on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "redis.sock"
        super().__init__("--unixsocket", str(self.path))


class Cluster(Stoppable):
    """A Redis Cluster of three masters, the last of which may have a replica."""

    def __init__(
        self, folder: Path, *options: str, replicas: int = 0, password: str = ""
    ) -> None:
        if password:
            options += "--requirepass", password, "--masterauth", password
        self._password = password or None
        self.servers = [
            self._start(folder / str(number), options) for number in range(3 + replicas)
        ]
        self.masters, self.replicas = self.servers[:3], self.servers[3:]
        self._meet()
        ends = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for server, first, end in zip(self.masters, ends, ends[1:], strict=False):
            self._run(server, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        self.settle()
        for server in self.replicas:
            node = self._run(self.masters[-1], "CLUSTER", "MYID")
            wait_until(partial(self._follows, server, node))
        self.settle()

    @property
    def url(self) -> str:
        """Its ``REDIS_URL``, which names two of its servers."""
        addresses = ",".join(f"127.0.0.1:{one.port}" for one in self.masters[:2])
        return f"cluster://{addresses}"

    def settle(self) -> None:
        """Wait until all servers that answer agree."""
        for server in self.servers:
            wait_until(partial(self._is_well, server))

    def owner(self, slot: int) -> RedisServer:
        """Return the server that has a slot."""
        slots = self._run(self.servers[0], "CLUSTER", "SLOTS")
        for first, last, (_, port, *_), *_ in slots:
            if first <= slot <= last:
                return next(one for one in self.servers if one.port == port)
        raise LookupError(slot)

    def move(self, slot: int, target: RedisServer) -> None:
        """Move a slot to another server; its keys are lost."""
        node = self._run(target, "CLUSTER", "MYID")
        source = self.owner(slot)
        for key in self._run(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000):
            self._run(source, "DEL", key)
        for server in (target, source, *self.masters):
            self._run(server, "CLUSTER", "SETSLOT", slot, "NODE", node)

    def stop(self) -> None:
        """End all servers."""
        for server in self.servers:
            server.stop()

    def _start(self, folder: Path, options: tuple[str, ...]) -> RedisServer:
        folder.mkdir()
        return RedisServer(
            *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
            *("--cluster-node-timeout", "1000", "--dir", str(folder)),
            *("--repl-diskless-sync-delay", "0", *options),
        )

    def _meet(self) -> None:
        first = self.servers[0]
        for server in self.servers[1:]:
            bus = self._run(server, "CONFIG", "GET", "cluster-port")[1]
            self._run(first, "CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        count = len(self.servers)
        for server in self.servers:
            wait_until(partial(self._knows, server, count))

    def _run(self, server: RedisServer, *words: Any) -> Any:
        with redis.Redis(
            port=server.port,
            password=self._password,
            decode_responses=True,
            protocol=2,
        ) as client:
            # The server's reply, unparsed.
            client.response_callbacks.clear()
            return client.execute_command(*words)

    def _knows(self, server: RedisServer, count: int) -> bool:
        nodes = str(self._run(server, "CLUSTER", "NODES"))
        return len(nodes.splitlines()) == count

    def _is_well(self, server: RedisServer) -> bool:
        return "cluster_state:ok" in str(self._run(server, "CLUSTER", "INFO"))

    def _follows(self, server: RedisServer, node: str) -> bool:
        try:
            self._run(server, "CLUSTER", "REPLICATE", node)
        except redis.ResponseError:
            return False
        found = str(self._run(server, "INFO", "replication"))
        return "master_link_status:up" in found
