"""``python -m sync_streams.quickstart``: add the app to a Django project.

It prints what to add to which file. With ``--write`` it adds the lines and generates
credentials. Existing lines stay as they are, so it can be run again.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

CREDENTIALS = "credentials.env"
IGNORED = ".gitignore"

SETTINGS = """\
import os

INSTALLED_APPS = [
    *dict.fromkeys(
        ["daphne", *INSTALLED_APPS, "rest_framework", "channels", "sync_streams"]
    )
]
ASGI_APPLICATION = "{package}.asgi.application"
"""
LAYERS = """\
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "sync_streams.layers.InMemoryChannelLayer",  # one process
        "CONFIG": {"capacity": 10_000},
    }
}
"""
ACCOUNTS = """\
SYNC_STREAMS = {
    "ACCOUNTS": {
        os.environ["SYNC_ACCOUNT_SID"]: {
            "AUTH_TOKEN": os.environ["SYNC_AUTH_TOKEN"],
            "API_KEYS": {
                os.environ["SYNC_API_KEY_SID"]: os.environ["SYNC_API_KEY_SECRET"]
            },
        }
    }
}
"""
URLS = """\
from django.urls import include, path
from sync_streams.rest.errors import handler400, handler403, handler404, handler500
from sync_streams.rest.tokens import TokenView

urlpatterns += [
    path("", include("sync_streams.urls")),
    path("token/", TokenView.as_view(ttl=600), name="sync-token"),
]
"""
ASGI = """\
from channels.routing import ProtocolTypeRouter, URLRouter
from sync_streams.asgi import PublishEndpoint, lifespan
from sync_streams.routing import elsewhere, websocket_urlpatterns

application = ProtocolTypeRouter(
    {
        "http": PublishEndpoint(application),  # answers publishes before Django does
        "lifespan": lifespan,
        "websocket": URLRouter([*websocket_urlpatterns, elsewhere]),
    }
)
"""
SETTINGS_MODULE = r"""["']DJANGO_SETTINGS_MODULE["'], ["']([\w.]+)"""
ROOT_URLCONF = r"""^ROOT_URLCONF = ["']([\w.]+)"""
NEXT = f"""
Next:
  . ./{CREDENTIALS}
  python manage.py migrate
  python manage.py runserver
Before production, set SYNC_STREAMS["AUTHORIZE"]: it decides who may do what.
"""


@dataclass(frozen=True, slots=True)
class Addition:
    """Lines to add to a file."""

    path: Path
    text: str
    by_hand: str = ""
    """Why they have to be added by hand, if so."""


def main(arguments: list[str] | None = None) -> None:
    """Print or add the lines that the project in a folder lacks."""
    parser = argparse.ArgumentParser("python -m sync_streams.quickstart")
    parser.add_argument("folder", nargs="?", default=".", help="holds manage.py")
    parser.add_argument("--write", action="store_true", help="change the files")
    options = parser.parse_args(arguments)
    additions = [*find_additions(Path(options.folder))]
    for addition in additions:
        is_written = options.write and not addition.by_hand
        if is_written:
            _write(addition)
        _tell(addition, is_written=is_written)
    sys.stdout.write(NEXT if additions else "Everything is in place already.\n")


def find_additions(folder: Path) -> list[Addition]:
    """Return the lines that the project lacks.

    Raises:
        SystemExit: there is no project, or it has no such file.
    """
    manage = folder / "manage.py"
    module = _find(SETTINGS_MODULE, _read(manage))
    if not module:
        raise SystemExit(f"{manage} does not name a settings module")
    package = module.partition(".")[0]
    settings = _file_of(folder, module)
    urls = _find(ROOT_URLCONF, _read(settings)) or f"{package}.urls"
    wanted = [
        _settings(settings, package),
        _plain(_file_of(folder, urls), URLS),
        _asgi(folder / package / "asgi.py"),
        _credentials(folder / CREDENTIALS),
        _ignored(folder / IGNORED),
    ]
    return [addition for addition in wanted if addition is not None]


def _settings(path: Path, package: str) -> Addition | None:
    text = _read(path)
    if "SYNC_STREAMS" in text:
        return None
    parts = [SETTINGS.format(package=package), ACCOUNTS]
    if "CHANNEL_LAYERS" not in text:
        parts.insert(1, LAYERS)
    return Addition(path, "".join(parts))


def _plain(path: Path, text: str) -> Addition | None:
    return None if "sync_streams" in _read(path) else Addition(path, text)


def _asgi(path: Path) -> Addition | None:
    addition = _plain(path, ASGI)
    if addition is not None and "ProtocolTypeRouter" in _read(path):
        return Addition(path, ASGI, by_hand="it has a router, so merge the two")
    return addition


def _credentials(path: Path) -> Addition | None:
    if path.exists():
        return None
    prefixes = {
        "SYNC_ACCOUNT_SID": "AC",
        "SYNC_AUTH_TOKEN": "",
        "SYNC_API_KEY_SID": "SK",
        "SYNC_API_KEY_SECRET": "",
    }
    lines = [f"export {name}={p}{token_hex(16)}\n" for name, p in prefixes.items()]
    return Addition(path, "".join(lines))


def _ignored(path: Path) -> Addition | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return None if CREDENTIALS in lines else Addition(path, f"{CREDENTIALS}\n")


def _write(addition: Addition) -> None:
    path = addition.path
    if path.name == CREDENTIALS:
        path.touch(mode=0o600)
    before = path.read_text() if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    gap = "\n" if before and path.suffix == ".py" else ""
    path.write_text(before + gap + addition.text)


def _tell(addition: Addition, *, is_written: bool) -> None:
    if is_written:
        sys.stdout.write(f"{addition.path}: done\n")
        return
    why = f" ({addition.by_hand})" if addition.by_hand else ""
    sys.stdout.write(f"# Add to {addition.path}{why}:\n\n{addition.text}\n")


def _file_of(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    package = path / "__init__.py"
    return package if package.exists() else path.with_suffix(".py")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}") from error


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""


if __name__ == "__main__":
    main()
