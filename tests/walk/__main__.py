"""``python -m tests.walk [here]``: paste the page, ask the site, print what it took."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.documents import new_project
from tests.walk.machine import Machine, Shell
from tests.walk.page import FOLDER, Step, Walk
from tests.walk.places import PLACES

ENVIRON = {
    "PATH": f"{FOLDER}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DJANGO_SUPERUSER_USERNAME": "admin",
    "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
    "DJANGO_SUPERUSER_PASSWORD": "not-secret-in-a-test",
}
MAIN_PID = "$(systemctl show -P MainPID sync-streams@8001)"
JOURNAL = "journalctl -u 'sync-streams@*' -o cat"
LAST_LINES = ["journalctl", "--no-pager", "--lines=60", "--output=cat"]
CERTIFICATE = """\
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \\
  -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
  -out /etc/ssl/sync.example.com.pem -keyout /etc/ssl/sync.example.com.key
"""


def visit(machine: Machine) -> None:
    """Be a client of the site; nginx has the certificate that the walk made."""
    text = machine.path("/etc/sync-streams.env").read_text()
    secrets = dict(line.split("=", 1) for line in text.splitlines())
    certificate = machine.path("/etc/ssl/sync.example.com.pem").read_text()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(certificate)
        file.flush()
        asking = ["nsenter", f"--target={machine.pid}", "--net", sys.executable]
        done = subprocess.run(
            [*asking, "-m", "tests.walk.visitor", file.name],
            env={**os.environ, **secrets},
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        )
    seen = json.loads(done.stdout)
    assert seen.pop("created") in {201, 409}, seen
    assert seen == {"not ready": [], "style sheet": "text/css", "received": {"n": 1}}


def inspect(shell: Shell) -> None:
    """Compare the machine with what the page promises."""
    for command, expected in {
        "stat -c %a /etc/sync-streams.env": "600",
        "grep -c change-me /etc/sync-streams.env || true": "0",
        f"stat -c %U /proc/{MAIN_PID}": "sync-streams",
        "systemctl is-enabled sync-streams@8002": "enabled",
        "redis-cli config get maxmemory | tail -n 1": str(256 * 2**20),
        "cat /proc/sys/net/ipv4/ip_local_port_range": "16384\t65535",
        "grep -c secret /var/log/nginx/sync_streams.log || true": "0",
        f"{JOURNAL} | grep -cE 'Traceback|ERROR' || true": "0",
    }.items():
        found = shell.paste(command).strip()
        assert found == expected, f"{command}: {found!r} instead of {expected!r}"


def follow(walk: Walk) -> Iterator[Step]:
    """Paste the page; ask the site once it runs, and once it has restarted."""
    for step in walk.steps():
        yield step
        if "systemctl" in step.block.text:
            visit(walk.machine)
        if "manage.py check" in step.block.text:
            assert "no issues" in step.printed, step.printed


@contextmanager
def place(kind: str) -> Iterator[Walk]:
    """Start the machine and open a shell."""
    with tempfile.TemporaryDirectory() as folder, PLACES[kind](Path(folder)) as found:
        new_project(found.machine.path(FOLDER))
        with Shell(found.machine.enter(), **ENVIRON) as shell:
            shell.paste(f"umask 022; cd {FOLDER}\n{CERTIFICATE}")
            try:
                yield Walk(found.machine, shell, found.pip or shell.paste)
            except (AssertionError, subprocess.CalledProcessError):
                subprocess.run([*found.machine.enter(), *LAST_LINES], check=False)
                raise


def main() -> None:
    [kind] = sys.argv[1:] or ["debian"]
    with place(kind) as walk:
        for step in follow(walk):
            print(f"{step.seconds:6.1f} s  {step.block.title}", flush=True)
        inspect(walk.shell)
    print("The page holds what it promises.")


if __name__ == "__main__":
    main()
