"""``python -m sync_streams.quickstart`` on a project as ``startproject`` makes it."""

import subprocess
import sys
from pathlib import Path

import pytest

from sync_streams.quickstart import CREDENTIALS, find_additions
from tests.documents import ROOT

PUBLISH = """
from django.urls import reverse
from mysite.asgi import application
from sync_streams.publishing import publish
from django.test import Client
print(sorted(application.application_mapping), reverse("sync-token"))
print(publish("demo", {"text": "Hello"}, create=True).sid)
print(Client().get("/v1/Services", headers={"host": "127.0.0.1"}).status_code)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run(tmp_path, "django", "startproject", "mysite", ".")
    return tmp_path


def run(folder: Path, module: str, *arguments: str) -> str:
    return shell(folder, f'"$0" -m {module} "$@"', *arguments)


def manage(folder: Path, *arguments: str) -> str:
    return shell(folder, f'. ./{CREDENTIALS}; "$0" manage.py "$@"', *arguments)


def shell(folder: Path, command: str, *arguments: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", command, sys.executable, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_it_prints_and_changes_nothing(folder: Path) -> None:
    before = files_of(folder)

    printed = run(folder, "sync_streams.quickstart")

    assert files_of(folder) == before
    for name in ("settings.py", "urls.py", "asgi.py"):
        assert f"# Add to mysite/{name}:" in printed


def test_it_writes_a_project_that_works_and_only_once(folder: Path) -> None:
    run(folder, "sync_streams.quickstart", "--write")
    before = files_of(folder)
    again = run(folder, "sync_streams.quickstart", "--write")

    assert again == "Everything is in place already.\n"
    assert files_of(folder) == before
    assert (folder / CREDENTIALS).stat().st_mode & 0o777 == 0o600
    assert before[".gitignore"] == "credentials.env\n"
    assert "no issues" in manage(folder, "check", "--fail-level", "WARNING")
    manage(folder, "migrate", "--verbosity", "0")
    printed = manage(folder, "shell", "--verbosity", "0", "-c", PUBLISH).splitlines()
    assert printed[0] == "['http', 'lifespan', 'websocket'] /token/"
    assert printed[1].startswith("TZ")
    assert printed[2] == "401"


def test_existing_lines_of_a_project_stay(folder: Path) -> None:
    settings, asgi = folder / "mysite/settings.py", folder / "mysite/asgi.py"
    with settings.open("a") as file:
        file.write(
            'INSTALLED_APPS += ["rest_framework"]\nCHANNEL_LAYERS = {"default": {}}'
        )
    with asgi.open("a") as file:
        file.write("application = ProtocolTypeRouter({})\n")
    (folder / ".gitignore").write_text("*.pyc")
    (folder / CREDENTIALS).write_text("export SYNC_ACCOUNT_SID=mine\n")
    router = asgi.read_text()

    printed = run(folder, "sync_streams.quickstart", "--write")

    assert "asgi.py (it has a router, so merge the two)" in printed
    assert asgi.read_text() == router
    assert settings.read_text().count("CHANNEL_LAYERS") == 1
    assert (folder / ".gitignore").read_text() == "*.pyc\ncredentials.env\n"
    assert (folder / CREDENTIALS).read_text() == "export SYNC_ACCOUNT_SID=mine\n"
    space: dict[str, object] = {"__file__": str(settings)}
    text = settings.read_text()
    exec(text[: text.index("SYNC_STREAMS = {")], space)
    apps = space["INSTALLED_APPS"]
    assert isinstance(apps, list)
    assert apps[0] == "daphne"
    assert apps.count("rest_framework") == 1


def test_settings_can_be_a_package(folder: Path) -> None:
    package = folder / "mysite/settings"
    package.mkdir()
    (folder / "mysite/settings.py").rename(package / "__init__.py")

    assert find_additions(folder)[0].path == package / "__init__.py"


def test_a_folder_without_a_project_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"manage\.py cannot be read: No such file"):
        find_additions(tmp_path)


def test_a_program_without_settings_is_reported(tmp_path: Path) -> None:
    (tmp_path / "manage.py").touch()

    with pytest.raises(SystemExit, match=r"manage\.py does not name a settings module"):
        find_additions(tmp_path)
