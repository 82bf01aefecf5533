"""Node, the npm package as it would be published, and apps that are built with it."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import playwright

from tests.programs import cannot_have

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/js"
MODULES = FOLDER / "node_modules"
PACKAGE = ROOT / "clients/js"
STATIC = ROOT / "sync_streams/static/sync_streams"

BUILD_SECONDS = 120
PATIENCE_SECONDS = 60
"""Maximum wait on a busy machine, including a reconnection."""

TYPESCRIPT = """
{"compilerOptions": {
  "strict": true, "noEmit": true, "types": [], "jsx": "react-jsx",
  "skipDefaultLibCheck": true,
  "target": "ES2022", "lib": ["ES2022", "DOM"],
  "module": "ESNext", "moduleResolution": "bundler"
}}
"""

VITE = """
import vue from "@vitejs/plugin-vue";
export default {
  root: import.meta.dirname, logLevel: "warn", base: "./", plugins: [vue()],
  define: { "process.env.NODE_ENV": JSON.stringify(process.env.NODE_ENV) },
};
"""


def bundled_node() -> str:
    """Return the Node of Playwright's wheel, newer than that of distributions."""
    bundled = Path(playwright.__file__).parent / "driver/node"
    return str(bundled) if bundled.exists() else system_node()


def system_node() -> str:
    """Return the machine's Node, which has no WebSocket before version 22."""
    return shutil.which("node") or cannot_have("node")


def modules() -> Path:
    """Return the folder of the npm packages that the tests use."""
    if not (MODULES / ".package-lock.json").exists():
        cannot_have("the npm packages of tests/js")
    return MODULES


def run(*command: str, cwd: Path, **environ: str) -> str:
    """Run a program and return what it prints; its output is the failure's text."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def pack(folder: Path) -> Path:
    """Return the package as npm would publish it, unpacked below *folder*."""
    npm = shutil.which("npm") or cannot_have("npm")
    # In a copy: other processes of the tests pack at the same time.
    for source in (PACKAGE, STATIC, ROOT / "LICENSE"):
        target = folder / "root" / source.relative_to(ROOT)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)
    package = folder / "root" / PACKAGE.relative_to(ROOT)
    run(npm, "pack", "--pack-destination", str(folder), cwd=package)
    [tarball] = folder.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


class App:
    """A project that has installed the package: TypeScript, Vite, React and Vue."""

    def __init__(self, folder: Path, package: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        (folder / "node_modules/@sync-streams").mkdir(parents=True)
        shutil.copytree(package, folder / "node_modules/@sync-streams/client")
        for each in modules().iterdir():
            if each.name != ".bin":
                (folder / "node_modules" / each.name).symlink_to(each)
        settings = {"tsconfig.json": TYPESCRIPT, "vite.config.mjs": VITE}
        for name, text in {**settings, **files}.items():
            (folder / name).write_text(text)

    def check_types(self) -> None:
        """Compile the TypeScript files as strictly as possible."""
        compiler = str(modules() / "typescript/bin/tsc")
        run(bundled_node(), compiler, "-p", str(self.folder), cwd=self.folder)

    def build(self, *, mode: str = "production") -> Path:
        """Build it with Vite and return the folder to serve.

        Args:
            mode: ``development`` keeps React's StrictMode at work.
        """
        vite = str(modules() / "vite/bin/vite.js")
        command = (bundled_node(), vite, "build", "--mode", mode)
        run(*command, cwd=self.folder, NODE_ENV=mode)
        return self.folder / "dist"
