"""A Redis with a replica, and three Sentinels that promote it when necessary."""

import signal
from pathlib import Path

import redis

from tests.programs import Program, RedisServer, Stoppable, free_port, redis_binary
from tests.waiting import wait_until

MASTER = "mymaster"
SENTINELS, QUORUM = 3, 2
DOWN_SECONDS = 1
"""How long a master may be silent before the Sentinels look for another one."""

CONFIGURATION = f"""\
port {{port}}
bind 127.0.0.1
dir {{folder}}
sentinel monitor {MASTER} 127.0.0.1 {{master}} {QUORUM}
sentinel down-after-milliseconds {MASTER} {DOWN_SECONDS * 1000}
sentinel failover-timeout {MASTER} 5000
"""


class Guarded(Stoppable):
    """Two Redis servers under Sentinels; ``url`` names the current master."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self._password = password
        options = "--repl-diskless-sync-delay", "0", "--dir", str(folder)
        self.master = RedisServer(*options)
        follow = f"--replicaof 127.0.0.1 {self.master.port}".split()
        self.replica = RedisServer(*options, *follow)
        wait_until(lambda: _has_replica(self.master))
        self._ports = [free_port() for _ in range(SENTINELS)]
        self._programs = [self._guard(folder, port) for port in self._ports]
        wait_until(lambda: all(map(self._is_ready, self._ports)))
        addresses = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        self.url = f"sentinel://{addresses}/{MASTER}/0"

    def freeze_sentinels(self) -> None:
        """Stop them from responding; the kernel still accepts data."""
        for program in self._programs:
            program.process.send_signal(signal.SIGSTOP)

    def thaw_sentinels(self) -> None:
        """Let them continue."""
        for program in self._programs:
            program.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End them all."""
        self.thaw_sentinels()
        for program in self._programs:
            program.stop()
        self.replica.stop()
        self.master.stop()

    def _guard(self, folder: Path, port: int) -> Program:
        path = folder / f"sentinel-{port}.conf"
        values = {"port": port, "folder": folder, "master": self.master.port}
        text = CONFIGURATION.format(**values)
        if self._password:
            text += f"requirepass {self._password}\n"
        path.write_text(text)
        return Program(redis_binary(), str(path), "--sentinel", ready="+monitor master")

    def _is_ready(self, port: int) -> bool:
        password = self._password or None
        with redis.Redis(port=port, password=password, decode_responses=True) as client:
            known = client.sentinel_master(MASTER)
        others = known["num-other-sentinels"], known["num-slaves"]
        return tuple(map(int, others)) == (SENTINELS - 1, 1)


def _has_replica(master: RedisServer) -> bool:
    with redis.Redis(port=master.port) as client:
        replica = client.info("replication").get("slave0", {})
    return bool(replica.get("state") == "online")
