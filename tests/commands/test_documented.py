"""docs/commands.md lists the existing commands and options."""

import re

import pytest
from django.core.management import get_commands, load_command_class

from tests.documents import ROOT

TEXT = (ROOT / "docs/commands.md").read_text()
ROWS = [
    row.split(maxsplit=1) for row in re.findall(r"^\| `manage\.py ([^`]+)`", TEXT, re.M)
]
OPTIONS = [
    (name, option, default)
    for name, rest in ROWS
    for option, default in re.findall(r"\[(--[a-z-]+)(?: ([^\]]+))?\]", rest)
]
WRONG = [
    *(f"{name} --no-such-option" for name, _ in ROWS),
    *("sync_publish", "sync_publish stream", "sync_tail", "issue_sync_token"),
    *("sync_top --url http://127.0.0.1:1", "expire_streams --url http://127.0.0.1:1"),
    *("sync_top --sort names", "sync_bench --streams many", "sync_bench --rate fast"),
    *("issue_sync_token alice --ttl soon", "expire_streams --interval often"),
]


def test_every_command_is_documented() -> None:
    ours = {name for name, app in get_commands().items() if app == "sync_streams"}

    assert {name for name, _ in ROWS} == ours


@pytest.mark.parametrize(("name", "option", "default"), OPTIONS)
def test_an_option_has_the_documented_default(
    name: str, option: str, default: str
) -> None:
    parser = load_command_class("sync_streams", name).create_parser("manage.py", name)
    (action,) = [each for each in parser._actions if option in each.option_strings]

    is_number = re.fullmatch("[0-9]+", default)
    if not default or default.isupper():  # a flag, or the name of a value
        assert not action.default
    else:
        assert action.default == (float(default) if is_number else default)


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_arguments_end_with_2_and_are_explained(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *_ = words = arguments.split()

    with pytest.raises(SystemExit) as ended:
        load_command_class("sync_streams", name).run_from_argv(["manage.py", *words])

    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert f"manage.py {name}: error: " in printed.err
