"""Code blocks of the README and the documents, as the tests execute them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE_ORIGIN = "127.0.0.1:8000"


def code_blocks(document: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code_block(document: str, language: str, containing: str) -> str:
    """Return the one block of a language that contains some text."""
    (block,) = [b for b in code_blocks(document, language) if containing in b]
    return block
