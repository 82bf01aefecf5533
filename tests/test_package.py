"""The distributions: what a host project gets when it installs the app."""

import ast
import itertools
import re
import sys
import tarfile
import tomllib
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

from build import ProjectBuilder
from build.env import DefaultIsolatedEnv
from readme_renderer import markdown

from sync_streams import __version__
from tests.documents import ROOT

APP = ROOT / "sync_streams"


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_whole_app_and_nothing_else(wheel: Path) -> None:
    held = {name for name in contents(wheel) if ".dist-info/" not in name}

    files = (path for path in APP.rglob("*") if path.is_file())
    assert held == {
        str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts
    }
    for needed in (
        "locale/de/LC_MESSAGES/django.mo",
        "locale/es/LC_MESSAGES/django.mo",
        "locale/fr/LC_MESSAGES/django.mo",
        "migrations/0001_initial.py",
        "openapi.json",
        "py.typed",
        "static/sync_streams/sync-streams.js",
        "templates/admin/sync_streams/monitor.html",
        "templates/sync_streams/reference.html",
    ):
        assert f"sync_streams/{needed}" in held


def test_the_source_distribution_builds_the_same_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    source, built = built_distributions(tmp_path)

    assert source.name == f"sync_streams-{__version__}.tar.gz"
    assert built.name == wheel.name
    assert contents(built) == contents(wheel)


def built_distributions(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution, and the wheel from that, in one environment."""
    with DefaultIsolatedEnv() as environment:
        begun = ProjectBuilder.from_isolated_env(environment, ROOT)
        environment.install(begun.build_system_requires)
        source = Path(begun.build("sdist", folder))
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / source.name.removesuffix(".tar.gz")
        builder = ProjectBuilder.from_isolated_env(environment, unpacked)
        return source, Path(builder.build("wheel", folder))


def test_a_package_index_shows_the_readme_with_its_pictures(wheel: Path) -> None:
    [metadata] = [
        data
        for name, data in contents(wheel).items()
        if name.endswith(".dist-info/METADATA")
    ]
    message = message_from_bytes(metadata)
    text = message.get_payload()
    assert isinstance(text, str)

    shown = markdown.render(text)

    assert shown is not None
    targets = re.findall(r'(?:href|src)="([^"]+)"', shown)
    assert [each for each in targets if each[0] != "#" and "https://" not in each] == []
    assert len([each for each in targets if each.endswith(".png")]) >= 2
    assert message["Version"] == __version__
    assert {url.split(",")[0] for url in message.get_all("Project-URL", [])} == {
        *("Documentation", "Source", "Changelog", "Issues")
    }


def test_every_package_that_is_imported_is_declared() -> None:
    imported = {
        name.partition(".")[0]
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imported_names(node)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = {
        canonical(name)
        for requirement in itertools.chain(project["dependencies"], *extras)
        for name in re.findall(r"[\w.-]+", requirement.partition(">")[0])
    }

    foreign = imported - sys.stdlib_module_names - {"sync_streams"}
    providers = packages_distributions()
    assert foreign >= {"django", "redis", "yarl"}
    assert not {
        name
        for name in foreign
        if not declared.intersection(map(canonical, providers[name]))
    }


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return []


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
