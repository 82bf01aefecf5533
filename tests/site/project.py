"""A Django project that is written with the blocks of the documentation."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from tests.documents import code_blocks, printed_by
from tests.programs import Program

START = "docs/getting-started.md"
FEED = "docs/tutorials/feed.md"
ORDERS = "docs/tutorials/order-status.md"

VENV = "venv"
ORIGIN = "127.0.0.1:8000"
RUNSERVER = f"python manage.py runserver {ORIGIN}"
_FILE = re.compile(r"^(?:#|<!--) ([\w/.]+\.\w+)( \(replaced\))?(?: -->)?\n")


def names_file(block: str) -> bool:
    """Return whether a block names its file."""
    return _FILE.match(block) is not None


def new_environment(folder: Path, wheel: Path) -> Path:
    """Make a virtual environment that holds the wheel, and what it depends on."""
    environment = folder / VENV
    venv.create(environment, with_pip=False)
    [packages] = environment.glob("lib/python*/site-packages")
    # The dependencies come from this environment, or every run would download them.
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "dependencies.pth").write_text(f"{here}\n")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--target", str(packages), str(wheel)], check=True)
    return environment


class Project:
    """A folder in which a reader follows the documentation."""

    def __init__(self, folder: Path, environment: Path, port: int) -> None:
        """Use an environment as it is after the installation."""
        self.folder, self.origin = folder, f"127.0.0.1:{port}"
        # Last, for django-admin, which comes with the dependencies.
        others = Path(sys.executable).parent
        self.environ = {
            "PATH": f"{environment}/bin:{os.environ['PATH']}:{others}",
            "HOME": str(folder),
        }

    def add_files(self, document: str) -> None:
        """Write every block that names a file: append it, or replace the file."""
        for language in ("python", "html"):
            for block in code_blocks(document, language):
                if found := _FILE.match(block):
                    self._add(self.folder / found[1], block, replaces=bool(found[2]))

    def _add(self, path: Path, block: str, *, replaces: bool) -> None:
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if path.exists() and not replaces else ""
        if path.suffix == ".html":
            block = block.partition("\n")[2]
        path.write_text(f"{before}\n{block}" if before else block)

    def shell(self, block: str) -> str:
        """Run a block in a shell; return its output."""
        load = "[ ! -e credentials.env ] || . ./credentials.env\n"
        command = "bash", "-euc", load + self.here(block)
        return printed_by(*command, folder=self.folder, environ=self.environ, within=60)

    def start(self, command: str, *, ready: str) -> Program:
        """Start a command that keeps running, as in a separate shell."""
        load = f"cd {self.folder}; . ./credentials.env; exec "
        return Program(
            "bash",
            "-euc",
            load + self.here(command),
            ready=ready,
            environ={**self.environ, "PYTHONUNBUFFERED": "1"},
        )

    def serve(self) -> Program:
        """Start the server as the documents do, without its watch over files."""
        server = self.start(f"{RUNSERVER} --noreload", ready="Quit the server")
        # It says so before it listens.
        curl = "curl --silent --retry 60 --retry-connrefused --retry-delay 1"
        self.shell(f"{curl} --output /dev/null http://{ORIGIN}/")
        return server

    def here(self, block: str) -> str:
        """Return a block with the address that the server has here."""
        return block.replace(ORIGIN, self.origin)
