"""The examples of ``docs/wire-rest.md`` match the server's responses."""

import json
import re
from pathlib import Path
from urllib.parse import quote_plus

from tests.rest.api import Api

DOCUMENT = Path(__file__).parents[2] / "docs/wire-rest.md"
EXAMPLE = re.compile(
    r"> (?P<method>\S+) (?P<path>\S+)\n(?:  (?P<form>.+)\n)?"
    r"< (?P<status>\d+)\n(?:  (?P<body>.+)\n)?"
)


def _examples() -> list[re.Match[str]]:
    blocks = re.findall(r"```rest\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    text = "".join(blocks)
    assert EXAMPLE.sub("", text) == ""
    return list(EXAMPLE.finditer(text))


def _escape(form: str) -> str:
    pairs = (pair.split("=", 1) for pair in form.split("&") if pair)
    return "&".join(f"{name}={quote_plus(value)}" for name, value in pairs)


def _check(expected: str, body: str, known: dict[str, str]) -> None:
    """Compare a body with its example and learn what its ``<names>`` stand for."""
    pattern, seen = "", set()
    for part in re.split(r"(<\w+>)", expected):
        name = part.strip("<>")
        if not re.fullmatch(r"<\w+>", part):
            pattern += re.escape(part)
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            pattern += f'(?P<{name}>[^"/]+)'
            seen.add(name)
    match = re.fullmatch(pattern, body)
    assert match, f"\n{expected}\n{body}"
    known.update(match.groupdict())


def test_examples_match_the_servers_responses(api: Api) -> None:
    known: dict[str, str] = {}
    examples = _examples()

    for example in examples:
        path = re.sub(r"<(\w+)>", lambda name: known[name[1]], example["path"])
        response = api.send(example["method"], path, _escape(example["form"] or ""))
        assert response.status_code == int(example["status"])
        _check(example["body"] or "", response.content.decode(), known)

    assert len(examples) == 10
    assert known["account"].startswith("AC")
    assert all(json.loads(one["body"]) for one in examples if one["body"])
