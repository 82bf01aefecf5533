"""A Prometheus with the alerts of docs/monitoring, which fire at once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.documents import ROOT
from tests.metrics.workers import WAIT_SECONDS
from tests.programs import Program, cannot_have, free_port

ALERTS = ROOT / "docs/monitoring/alerts.yml"


def rules() -> list[dict[str, Any]]:
    """Return the alerts."""
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


@contextmanager
def scraping(folder: Path, base_url: str) -> Iterator[str]:
    """Run a Prometheus that scrapes a site every second; return its API's address."""
    binary = shutil.which("prometheus") or cannot_have("Prometheus")
    at_once = [{**rule, "for": "0s"} for rule in rules()]
    groups = {"groups": [{"name": "at once", "rules": at_once}]}
    (folder / "alerts.yml").write_text(yaml.safe_dump(groups))
    target = {"targets": [base_url.removeprefix("http://")]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "sync", "static_configs": [target]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    port = free_port()
    command = [
        binary,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Program(*command, ready="Server is ready to receive web requests"):
        yield f"http://127.0.0.1:{port}/api/v1"


def ask(prometheus: str, query: str) -> list[Any]:
    """Return what a query finds now."""
    answer = requests.get(
        f"{prometheus}/query", params={"query": query}, timeout=WAIT_SECONDS
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


def firing(prometheus: str) -> dict[str, dict[str, str]]:
    """Return the labels of the alerts that fire now, by name."""
    found = ask(prometheus, 'ALERTS{alertstate="firing"}')
    return {one["metric"]["alertname"]: one["metric"] for one in found}
