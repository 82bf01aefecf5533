"""The site of docs/deployment.md, on free ports, started with the document's blocks."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import requests

from tests.clients.accounts import Account
from tests.clients.rest import WAIT_SECONDS
from tests.documents import ROOT, code_block, new_project, printed_by
from tests.programs import Program, cannot_have, free_port
from tests.test_uvicorn import self_signed

DOCUMENT = "docs/deployment.md"
BIN = Path(sys.executable).parent
ADDRESS = "sync.example.com"

SYSTEMCTL = """\
#!/bin/bash
# systemctl restart sync-streams@PORT, where systemd does not run
port=${2#*@}
if [ -e $port.pid ]; then
  kill $(cat $port.pid)
  tail --pid=$(cat $port.pid) -f /dev/null
fi
UVICORN_PORT=$port nohup $START >>$port.log 2>&1 &
echo $! >$port.pid
"""


def section(containing: str) -> dict[str, dict[str, str]]:
    """Return the sections of an ini block; what stands before the first is ``env``."""
    text = code_block(DOCUMENT, "ini", containing).replace("\\\n", " ")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(f"[env]\n{text}")
    return {name: dict(parser[name]) for name in parser.sections()}


def unit_command() -> list[str]:
    """Return the unit's command, with this environment's program, without its port."""
    command = shlex.split(section("[Service]")["Service"]["ExecStart"])
    at = command.index("--port")
    assert command[at + 1] == "%i"
    return [f"{BIN}/{Path(command[0]).name}", *command[1:at], *command[at + 2 :]]


def lines(containing: str) -> list[list[str]]:
    """Return the words of each line of a configuration."""
    block = code_block(DOCUMENT, "conf", containing)
    return [shlex.split(line) for line in block.splitlines() if line[0] != "#"]


@dataclass
class Deployment:
    """The running site."""

    folder: Path
    environ: dict[str, str]
    ports: dict[str, int]
    """The local port for each port in the document."""

    @property
    def base_url(self) -> str:
        """Its origin at nginx."""
        return f"https://localhost:{self.ports['443']}"

    @property
    def account(self) -> Account:
        """The account of its environment."""
        return Account.of(self.environ)

    @property
    def certificate(self) -> Path:
        """nginx's certificate."""
        return self.folder / "certificate.pem"

    def here(self, block: str) -> str:
        """Return a block with the local ports and files."""
        # In one pass, since a free port may equal another port in the document.
        documented = "|".join(self.ports)
        block = re.sub(documented, lambda port: str(self.ports[port[0]]), block)
        for documented, name in {
            f"/etc/ssl/{ADDRESS}.pem": "certificate.pem",
            f"/etc/ssl/{ADDRESS}.key": "key.pem",
            "/var/log/nginx/": "",
            "/etc/sync-streams.env": "sync-streams.env",
            "/srv/mysite/static/": "static/",
        }.items():
            block = block.replace(documented, f"{self.folder}/{name}")
        return block

    def shell(self, block: str) -> str:
        """Run a block in a shell; return its output."""
        command = "bash", "-euc", self.here(block)
        return printed_by(
            *command, folder=self.folder, environ=self.environ, within=120
        )

    def request(
        self, method: str, path: str, *, origin: str = "", **data: str
    ) -> requests.Response:
        """Send a request to nginx, or to another origin."""
        return requests.request(
            method,
            (origin or self.base_url) + path,
            auth=self.account.login,
            headers={"Host": ADDRESS},
            data=data,
            verify=str(self.certificate),
            timeout=WAIT_SECONDS,
        )


@contextmanager
def deployed(
    folder: Path, *, postgres_url: str, redis_url: str
) -> Iterator[Deployment]:
    """Run the site: two workers behind nginx, as the document has them."""
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        cannot_have("nginx")
    environ = {
        **os.environ,
        **section("SECRET_KEY")["env"],
        **_secrets(folder),
        **_database(postgres_url),
        "REDIS_URL": redis_url,
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PATH": f"{folder}:{BIN}:{os.environ['PATH']}:/usr/sbin",
        "START": shlex.join(unit_command()),
    }
    made = new_project(folder) / "mysite"
    for name in ("settings", "urls"):
        with (made / f"{name}.py").open("a") as file:
            file.write("\n" + code_block(DOCUMENT, "python", f"# {name}.py"))
    (folder / "systemctl").write_text(SYSTEMCTL)
    (folder / "systemctl").chmod(0o755)
    self_signed(folder)
    ports = {documented: free_port() for documented in ("8001", "8002", "443")}
    site = Deployment(folder, environ, ports)
    with ExitStack() as stack:
        checked = site.shell(code_block(DOCUMENT, "sh", "manage.py check"))
        (folder / "check.txt").write_text(checked)
        stack.callback(site.shell, "for file in [0-9]*.pid; do kill $(cat $file); done")
        site.shell(code_block(DOCUMENT, "sh", "for port in"))
        nginx = Program(*_nginx(site), ready="start worker process ")
        stack.callback(nginx.stop)
        yield site


def _secrets(folder: Path) -> dict[str, str]:
    """Replace the placeholders as the document does; return what the file holds."""
    path = folder / "sync-streams.env"
    path.write_text(code_block(DOCUMENT, "ini", "SECRET_KEY"))
    block = code_block(DOCUMENT, "sh", "openssl rand")
    command = ["bash", "-euc", block.replace("/etc/sync-streams.env", str(path))]
    subprocess.run(command, check=True)
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def _database(url: str) -> dict[str, str]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS deployment")
        connection.execute("CREATE DATABASE deployment")
        info = connection.info
        names = {"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": info.user}
    return names | {"PGDATABASE": "deployment"}


def _nginx(site: Deployment) -> list[str]:
    """Write nginx's configuration from the document's blocks; return the command."""
    kinds = ("body", "proxy", "fastcgi", "uwsgi", "scgi")
    names = [*(f"{kind}_temp_path" for kind in kinds[1:]), "client_body_temp_path"]
    temporary = "\n".join(f"{name} {site.folder}/{name};" for name in names)
    main = code_block(DOCUMENT, "nginx", "worker_processes")
    front = site.here(code_block(DOCUMENT, "nginx", "upstream workers"))
    path = site.folder / "nginx.conf"
    # What pytest puts into its folders is for the user of the tests alone.
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(
        f"daemon off; {user} pid {site.folder}/nginx.pid; error_log stderr notice;\n"
        f"{main}\nhttp {{\ninclude /etc/nginx/mime.types;\n{temporary}\n{front}\n}}\n"
    )
    return ["nginx", "-e", "stderr", "-p", str(site.folder), "-c", str(path)]
