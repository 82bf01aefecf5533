"""The image, the compose file and the Kubernetes objects of docs/container."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from tests.deployment import BIN, unit_command
from tests.documents import ROOT, new_project
from tests.programs import cannot_have

FOLDER = ROOT / "docs/container"
OBJECTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
)
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
DRAIN_SECONDS = 10 + 2  # the setting, and the last closes
USER = 10001


def instructions(name: str, stage: int = -1) -> list[str]:
    """Return the values of an instruction in a stage of the image."""
    parser = DockerfileParser(path=str(FOLDER), cache_content=True)
    stages: list[list[str]] = []
    for one in parser.structure:
        if one["instruction"] == "FROM":
            stages.append([])
        if stages and one["instruction"] == name:
            stages[-1].append(one["value"])
    return stages[stage]


def graceful_seconds() -> int:
    command = json.loads(instructions("CMD")[0])
    return int(command[command.index("--timeout-graceful-shutdown") + 1])


def kind(name: str) -> Any:
    (found,) = [one for one in OBJECTS if one["kind"] == name]
    return found


def test_image_is_built_in_stages_and_runs_as_its_own_user() -> None:
    parser = DockerfileParser(path=str(FOLDER), cache_content=True)

    assert len(parser.parent_images) == 2
    assert instructions("USER") == [str(USER)]
    assert f"--uid {USER}" in " ".join(instructions("RUN"))
    # Build tools and secrets stay out.
    assert not any("pip" in line for line in instructions("RUN"))
    assert not any(line.startswith("--chown") for line in instructions("COPY"))
    assert {"*.env", "*.secret"} <= set((FOLDER / "dockerignore").read_text().split())


def test_image_is_built_with_the_project_and_without_its_secrets(
    tmp_path: Path, wheel: Path
) -> None:
    site, wheels = tmp_path / "site", wheel.parent
    site.mkdir()
    new_project(site)
    for name, text in {
        "Dockerfile": (FOLDER / "Dockerfile").read_text(),
        ".dockerignore": (FOLDER / "dockerignore").read_text(),
        "sync-streams.secret": "SECRET_KEY=abc",
        "requirements.txt": f"--find-links {wheels}\nsync-streams\n",
    }.items():
        (site / name).write_text(text)

    config = built(site, wheels)

    lines = (site / "files.txt").read_text().splitlines()
    owners = {name: owner for owner, _, name in (line.partition(" ") for line in lines)}
    assert config["User"] == str(USER)
    assert config["Entrypoint"] == json.loads(instructions("ENTRYPOINT")[0])
    assert config["Cmd"] == json.loads(instructions("CMD")[0])
    assert any(name.endswith("/sync_streams/asgi.py") for name in owners)
    assert not any("/site-packages/pip" in name for name in owners)
    assert owners["srv/mysite/mysite/asgi.py"] == "root:644"
    assert "srv/mysite/sync-streams.secret" not in owners
    writable = [name for name, owner in owners.items() if not owner.startswith("root:")]
    assert writable == ["srv/mysite/static"]


def built(site: Path, wheels: Path) -> dict[str, Any]:
    """Build the image; return its configuration."""
    if shutil.which("buildah") is None:
        cannot_have("Buildah")
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    script = str(ROOT / "tests/build-image.sh")
    done = subprocess.run(
        [*as_root, script, str(site), str(wheels), sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)["OCIv1"]["config"]
    return config


def test_image_starts_the_worker_of_the_unit() -> None:
    command = json.loads(instructions("CMD")[0])
    wanted = unit_command()
    for name in ("--host", "--forwarded-allow-ips"):  # uvicorn's own default
        at = wanted.index(name)
        assert wanted[at + 1] == "127.0.0.1"
        del wanted[at : at + 2]

    assert [f"{BIN}/{command[0]}", *command[1:]] == wanted


def test_entrypoint_reads_secrets_from_the_file(tmp_path: Path) -> None:
    secrets = tmp_path / "sync-streams.env"
    secrets.write_text("SECRET_KEY=abc\nREDIS_URL=redis://127.0.0.1:6379/0\n")
    shell, option, script, name = json.loads(instructions("ENTRYPOINT")[0])
    script = script.replace("/run/secrets/sync-streams.env", str(secrets))
    code = "import os; print(os.environ['SECRET_KEY'], os.environ['REDIS_URL'])"

    done = subprocess.run(
        [shell, option, script, name, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "abc redis://127.0.0.1:6379/0\n"


def test_compose_file_is_one_by_the_specification() -> None:
    path = str(FOLDER / "compose.yaml")
    schema = ["--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run(
        [str(BIN / "check-jsonschema"), *schema, path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_every_container_is_read_only_and_gains_no_privileges() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in ("worker-8001", "worker-8002", "migrate", "redis"):
        assert COMPOSE["services"][name]["cap_drop"] == ["ALL"]


def test_no_secret_stands_in_the_compose_file() -> None:
    variables = [one.get("environment", {}) for one in COMPOSE["services"].values()]
    names = {name for one in variables for name in one}
    files = {one["file"] for one in COMPOSE["secrets"].values()}

    assert names == {"UVICORN_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE"}
    assert files == {"./sync-streams.secret", "./pgpassword.secret"}
    assert "change-me" not in (FOLDER / "compose.yaml").read_text()


def test_compose_starts_workers_last_and_gives_them_time_to_drain() -> None:
    for port in ("8001", "8002"):
        worker = COMPOSE["services"][f"worker-{port}"]
        grace = int(worker["stop_grace_period"].removesuffix("s"))

        assert worker["environment"] == {"UVICORN_PORT": port}
        assert DRAIN_SECONDS < graceful_seconds() < grace
        assert worker["depends_on"] == {
            "redis": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }
    migrate = shlex.split(COMPOSE["services"]["migrate"]["command"])[-1]
    assert migrate.index("migrate") < migrate.index("collectstatic")


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("object_", OBJECTS, ids=lambda one: str(one["kind"]))
def test_kubernetes_takes_the_object(object_: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(object_, version, strict=True)


def test_pods_are_confined() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == USER
    assert pod["automountServiceAccountToken"] is False
    for container in [*pod["initContainers"], *pod["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("valueFrom" in one for one in container.get("env", []))
    (secrets,) = [one for one in pod["volumes"] if one["name"] == "secrets"]
    assert secrets["secret"]["defaultMode"] == 0o440


def test_pods_have_the_time_to_drain() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    waits = int(worker["lifecycle"]["preStop"]["exec"]["command"][1])
    ready = worker["readinessProbe"]

    assert graceful_seconds() > DRAIN_SECONDS
    assert waits + graceful_seconds() < pod["terminationGracePeriodSeconds"]
    assert ready["periodSeconds"] <= waits
    assert worker["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_pods_restart_one_by_one_and_never_all_at_once() -> None:
    deployment = kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["replicas"] > 1
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert kind("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    for name in ("Deployment", "PodDisruptionBudget"):
        assert kind(name)["spec"]["selector"]["matchLabels"] == labels
    assert kind("Service")["spec"]["selector"] == labels
    assert kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
