"""The blocks of docs/deployment.md in order, and where each is entered."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.documents import ROOT
from tests.walk.machine import Machine, Shell

PAGE = ROOT / "docs/deployment.md"
FOLDER = "/srv/mysite"
ELSEWHERE = "sync_streams.daphne ", "# /etc/haproxy/"
"""Text in blocks for another server and another proxy, which have their own tests."""


@dataclass
class Block:
    """A block of the page."""

    language: str
    text: str

    @property
    def title(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]


@dataclass
class Step:
    """A step and its duration."""

    block: Block
    seconds: float
    printed: str


def blocks() -> Iterator[Block]:
    """Yield the blocks of the site, in order; ``text`` is for readers."""
    text = PAGE.read_text()
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, block = found.groups()
        if language != "text" and not any(part in block for part in ELSEWHERE):
            yield Block(language, block)


def packages() -> list[str]:
    """Return the names of Debian's packages that the page begins with."""
    found = re.search(
        r"On Debian, install the packages(.*?)\.$", PAGE.read_text(), re.S | re.M
    )
    assert found
    return re.findall(r"`([\w-]+)`", found[1])


@dataclass
class Walk:
    """One administrator at work.

    Args:
        machine: where.
        shell: the shell that was opened there.
        pip: pastes what installs Python's packages; it needs a network.
    """

    machine: Machine
    shell: Shell
    pip: Callable[[str], str]

    def steps(self) -> Iterator[Step]:
        """Do what the page says, block by block."""
        for block in blocks():
            began = time.monotonic()
            printed = self._do(block)
            yield Step(block, time.monotonic() - began, printed)

    def _do(self, block: Block) -> str:
        if block.language == "sh":
            return (self.pip if "pip " in block.text else self._paste)(block.text)
        if block.text.startswith("worker_processes"):
            self._replace("/etc/nginx/nginx.conf", block.text)
        elif block.text.startswith("DJANGO_SETTINGS_MODULE"):
            self.machine.path("/etc/sync-streams.env").write_text(block.text)
        elif block.language == "python":
            self._append(block)
        else:
            self._write(block)
        return ""

    def _paste(self, block: str) -> str:
        printed = self.shell.paste(block)
        if "manage.py migrate" in block:
            create = "python manage.py createsuperuser"
            assert create in PAGE.read_text()
            printed += self.shell.paste(f"{create} --no-input")
        return printed

    def _append(self, block: Block) -> None:
        name = block.title.removeprefix("# ").partition(",")[0]
        with self.machine.path(f"{FOLDER}/mysite/{name}").open("a") as file:
            file.write(f"\n{block.text}")

    def _write(self, block: Block) -> None:
        found = re.match(r"# (/etc/[\w./@-]+\w)", block.title)
        assert found, block.title
        self.machine.path(found[1]).write_text(block.text)

    def _replace(self, name: str, text: str) -> None:
        """Replace a file's directives."""
        path = self.machine.path(name)
        has = path.read_text()
        for directive in re.findall(r"^(\w+)", text, re.MULTILINE):
            old = rf"^{directive} ([^{{}}]*?;|\{{.*?^\}})\n"
            # nginx accepts this one only after its modules.
            new = text if directive == "events" else ""
            has = re.sub(old, new, has, flags=re.MULTILINE | re.DOTALL)
        assert text in has, has
        path.write_text(has)
