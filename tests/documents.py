"""Code blocks of the README and the documents, as the tests execute them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = "README.md"
EXAMPLE_ORIGIN = "127.0.0.1:8000"


def code_blocks(document: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code_block(document: str, language: str, containing: str) -> str:
    """Return the one block of a language that contains some text."""
    (block,) = [b for b in code_blocks(document, language) if containing in b]
    return block


def executed(document: str, containing: str, **names: object) -> dict[str, Any]:
    """Execute the block of ``docs/DOCUMENT.md`` that contains some text.

    Args:
        document: which one.
        containing: the text.
        names: names that the block needs but does not define.

    Returns:
        Its names.
    """
    space: dict[str, Any] = {"__name__": "documented", **names}
    exec(code_block(f"docs/{document}.md", "python", containing), space)
    return space


def printed_by(
    *command: str,
    folder: Path,
    within: float,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return a command's output; if the command fails, the test fails with it.

    Args:
        command: its words.
        folder: its working directory.
        within: seconds that it may take.
        environ: its environment; that of the tests if there is none.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=within,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def new_project(folder: Path) -> Path:
    """Create a Django project, and add only what the README says."""
    start = [sys.executable, "-m", "django", "startproject", "mysite", str(folder)]
    # With the settings of the tests it would load all their apps.
    environ = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(start, env=environ, check=True, timeout=60)
    settings, urls, asgi = (
        folder / "mysite" / f"{name}.py" for name in ("settings", "urls", "asgi")
    )
    # The dots stand for existing lines of the project.
    block = code_block(README, "python", "INSTALLED_APPS")
    _append(settings, block.replace("...", "*INSTALLED_APPS"))
    block = code_block(README, "python", "# urls.py")
    _append(urls, block.replace("...", "*urlpatterns"))
    asgi.write_text(code_block(README, "python", "ProtocolTypeRouter"))
    return folder


def _append(file: Path, code: str) -> None:
    file.write_text(f"{file.read_text()}\n{code}")
