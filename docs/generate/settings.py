"""docs/settings.md, from the dataclass that reads the settings.

``settings.toml`` says when to change each of them.
"""

import ast
import tomllib
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

from sync_streams import conf
from sync_streams.conf import Settings

HEAD = """\
# Settings

All settings are keys of one dict, `SYNC_STREAMS`, in your Django settings:

```python
SYNC_STREAMS = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "PUBLISH_WINDOW_SECONDS": 10,
}
```

An unknown key, or a value that cannot be right, is reported by `manage.py check`.
Times are in seconds and may be fractions; sizes are in bytes. Values are read when
they are used, so `override_settings` works in tests. This page is generated from
`sync_streams/conf.py`.
"""

GROUPS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text()
)


@dataclass(frozen=True)
class Entry:
    """One setting, as its dataclass has it."""

    name: str
    kind: str
    default: str
    text: str

    def render(self, advice: str) -> str:
        """Return the entry in Markdown."""
        return (
            f"### `{self.name.upper()}`\n\n{self.text}\n\n"
            f"Type: `{self.kind}`. Default: `{self.default}`.\n\n"
            f"When to change: {advice}\n"
        )


def read_entries() -> dict[str, Entry]:
    """Return every setting by name."""
    tree = ast.parse(Path(conf.__file__).read_text())
    body = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == Settings.__name__
    )
    defaults = Settings()
    entries = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            name = ast.unparse(field.target)
            entries[name] = Entry(
                name=name,
                kind=ast.unparse(field.annotation),
                default=repr(getattr(defaults, name)),
                text=_markdown(ast.literal_eval(text.value)),
            )
    return entries


def render() -> str:
    """Return the whole page."""
    entries = read_entries()
    parts = [HEAD]
    for title, advice in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [entries[name].render(text) for name, text in advice.items()]
    return "\n".join(parts)


def unexplained() -> set[str]:
    """Return the settings that the page does not say when to change."""
    return {each.name for each in fields(Settings)} ^ {
        name for advice in GROUPS.values() for name in advice
    }


def _markdown(docstring: str) -> str:
    return " ".join(docstring.replace("``", "`").split())
