"""The npm package: what is in it, its size, its types; see clients/js."""

import gzip
import json
import re
from pathlib import Path

import yaml

import sync_streams
from tests.documents import ROOT, code_blocks
from tests.js.tools import FOLDER, PACKAGE, STATIC, App, bundled_node, run

GUIDE = "docs/browser-client.md"
MAX_MINIFIED_BYTES = 4096

SHIMS = (
    'declare module "*.vue" { const component: object; export default component; }\n'
)
NAMES = "declare const fetchToken: () => Promise<string>;\n"


def test_the_package_holds_the_files_that_the_app_serves(package: Path) -> None:
    served = [path for path in STATIC.glob("sync-streams*") if ".min." not in path.name]
    served.sort()

    assert [path.name for path in served] == [
        "sync-streams-htmx.d.ts",
        "sync-streams-htmx.js",
        "sync-streams.d.ts",
        "sync-streams.js",
    ]
    for path in served:
        assert (package / path.name).read_bytes() == path.read_bytes()


def test_apart_from_that_the_package_holds_only_hooks_readme_and_licence(
    package: Path,
) -> None:
    names = {path.name for path in package.iterdir()}

    own = {"react", "vue", "stream-view", "sync-streams", "sync-streams-htmx"}
    modules = {f"{name}{suffix}" for name in own for suffix in (".js", ".d.ts")}
    assert names == modules | {"package.json", "README.md", "LICENSE"}
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_every_export_exists_and_has_types(package: Path) -> None:
    exports = json.loads((package / "package.json").read_text())["exports"]
    assert set(exports) == {".", "./react", "./vue", "./htmx", "./package.json"}

    del exports["./package.json"]
    for entry in exports.values():
        assert (package / entry["types"]).is_file()
        assert (package / entry["default"]).is_file()


def test_the_package_has_the_apps_version() -> None:
    version = json.loads((PACKAGE / "package.json").read_text())["version"]

    assert version == sync_streams.__version__


def test_the_release_is_published_from_pinned_actions_with_provenance() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/npm.yml").read_text())
    steps = workflow["jobs"]["publish"]["steps"]

    assert workflow["jobs"]["publish"]["permissions"]["id-token"] == "write"
    assert "--provenance" in steps[-1]["run"]
    for step in steps:
        assert re.search(r"@[0-9a-f]{40}$", step.get("uses", "@" + "0" * 40))


def test_the_client_is_small_minified_and_as_served(
    tmp_path: Path, package: Path
) -> None:
    main = 'export * from "@sync-streams/client";'
    options = (
        'export default {root: import.meta.dirname, logLevel: "warn", build: {'
        'minify: true, rolldownOptions: {input: "main.js", preserveEntrySignatures:'
        '"strict", output: {minify: true, entryFileNames: "client.js"}}}}'
    )
    app = App(tmp_path, package, {"main.js": main, "vite.config.mjs": options})

    minified = app.build() / "client.js"

    assert "SyncStreamsError" in minified.read_text()
    assert len(gzip.compress(minified.read_bytes())) <= MAX_MINIFIED_BYTES
    served = (STATIC / "sync-streams.min.js").read_bytes()
    assert len(gzip.compress(served)) <= MAX_MINIFIED_BYTES


def test_the_minified_client_is_built_from_the_present_source(tmp_path: Path) -> None:
    target = tmp_path / "client.js"

    run(bundled_node(), "minify.mjs", str(target), cwd=FOLDER)

    assert target.read_bytes() == (STATIC / "sync-streams.min.js").read_bytes(), (
        "run: node tests/js/minify.mjs"
    )


def test_the_guides_typescript_is_correct(tmp_path: Path, package: Path) -> None:
    blocks = [*code_blocks(GUIDE, "ts"), *code_blocks(GUIDE, "tsx")]
    files = dict([named(block) for block in blocks if "vite.config" not in block])
    assert set(files) == {"main.ts", "main.tsx", "token.ts", "vue.ts"}

    App(tmp_path, package, {"shims.d.ts": SHIMS, **files}).check_types()


def test_the_readmes_code_is_correct_and_the_types_refuse_mistakes(
    tmp_path: Path, package: Path
) -> None:
    [script] = code_blocks("clients/js/README.md", "js")
    [component] = code_blocks("clients/js/README.md", "jsx")

    typed = component.replace('useStream("', 'useStream<{ status: string }>("')
    files = {name: (FOLDER / name).read_text() for name in ("types.ts", "ws-types.ts")}
    files |= {"names.d.ts": NAMES, "script.ts": script, "component.tsx": typed}
    App(tmp_path, package, files).check_types()


def named(block: str) -> tuple[str, str]:
    """Return the file's name that a block begins with, and the block."""
    match = re.match(r"(?://|<!--) (\S+)", block)
    assert match, f"no name of a file in the first line of:\n{block}"
    return match[1], block
