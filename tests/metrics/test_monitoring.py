"""docs/monitoring: alerts that fire at their fault, a dashboard that asks for metrics.

promtool and a real Prometheus judge; both are in Debian's package ``prometheus``.
"""

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
import yaml

from docs.generate import dashboard
from sync_streams.metrics import FAMILIES, PREFIX, Family
from tests.documents import ROOT
from tests.metrics.prometheus import ALERTS, ask, rules
from tests.metrics.workers import (
    MAX_TRIES,
    WAIT_SECONDS,
    WORKERS,
    Client,
    Workers,
    serving,
)
from tests.programs import cannot_have, free_port

DASHBOARD = ROOT / "docs/monitoring/dashboard.json"
PAGE = ROOT / "docs/monitoring.md"

OWN_LABELS = {"process", "le"}
WELL = """
sync_streams_info{process="w:1",version="1"} 1x90
sync_streams_info{process="w:2",version="1"} 1x90
sync_streams_ready{process="w:1",part="database"} 1x90
sync_streams_unreachable{process="w:1"} 0x90
sync_streams_publishes_total{process="w:1",outcome="published"} 0+600x90
sync_streams_gaps_total{process="w:1",told="no"} 0x90
sync_streams_dropped_total{process="w:1"} 0x90
sync_streams_deliveries_total{process="w:1"} 0+6000x90
sync_streams_event_loop_lag_seconds{process="w:1"} 0.01x90
sync_streams_max_lag_seconds{process="w:1"} 1x90
sync_streams_event_queue_length{process="w:1"} 2x90
sync_streams_delivery_seconds_bucket{process="w:1",le="0.5"} 0+60x90
sync_streams_delivery_seconds_bucket{process="w:1",le="5.0"} 0+60x90
sync_streams_delivery_seconds_bucket{process="w:1",le="+Inf"} 0+60x90
sync_streams_broadcast_seconds_bucket{process="w:1",le="0.1"} 0+60x90
sync_streams_broadcast_seconds_bucket{process="w:1",le="5.0"} 0+60x90
sync_streams_broadcast_seconds_bucket{process="w:1",le="+Inf"} 0+60x90
sync_streams_database_seconds_bucket{process="w:1",le="0.5"} 0+60x90
sync_streams_database_seconds_bucket{process="w:1",le="5.0"} 0+60x90
sync_streams_database_seconds_bucket{process="w:1",le="+Inf"} 0+60x90
sync_streams_open_descriptors{process="w:1"} 100x90
sync_streams_max_descriptors{process="w:1"} 1000x90
sync_streams_connections{process="w:1",transport="websocket"} 50x90
sync_streams_max_connections{process="w:1"} 1000x90
sync_streams_webhooks_total{process="w:1",outcome="delivered"} 0+60x90
sync_streams_rate_refusals_total{process="w:1"} 0x90
"""
"""Ninety minutes of two healthy processes, in promtool's notation."""

FAULTS = {
    "SyncStreamsDown": {
        'sync_streams_info{process="w:1",version="1"}': "1x29 stale",
        'sync_streams_info{process="w:2",version="1"}': "1x29 stale",
    },
    "SyncStreamsProcessMissing": {
        'sync_streams_info{process="w:2",version="1"}': "1x29 stale",
    },
    "SyncStreamsNotReady": {
        'sync_streams_ready{process="w:1",part="database"}': "1x29 0x60",
    },
    "SyncStreamsUnreachable": {
        'sync_streams_unreachable{process="w:1"}': "0x29 1x60",
    },
    "SyncStreamsPublishesUnavailable": {
        'sync_streams_publishes_total{process="w:1",outcome="20503"}': "0x29 0+10x60",
    },
    "SyncStreamsPublishesFail": {
        'sync_streams_publishes_total{process="w:1",outcome="failed"}': "_x40 1x49",
    },
    "SyncStreamsGaps": {
        'sync_streams_gaps_total{process="w:1",told="no"}': "0x39 1x50",
    },
    "SyncStreamsDrops": {
        'sync_streams_dropped_total{process="w:1"}': "0x29 0+60x60",
    },
    "SyncStreamsLag": {
        'sync_streams_event_loop_lag_seconds{process="w:1"}': "0.01x29 0.6x60",
    },
    "SyncStreamsQueue": {
        'sync_streams_event_queue_length{process="w:1"}': "2x29 129x60",
    },
    "SyncStreamsSlowDelivery": {
        'sync_streams_delivery_seconds_bucket{process="w:1",le="0.5"}': "0x90",
    },
    "SyncStreamsSlowLayer": {
        'sync_streams_broadcast_seconds_bucket{process="w:1",le="0.1"}': "0x90",
    },
    "SyncStreamsSlowDatabase": {
        'sync_streams_database_seconds_bucket{process="w:1",le="0.5"}': "0x90",
    },
    "SyncStreamsDescriptors": {
        'sync_streams_open_descriptors{process="w:1"}': "100x29 801x60",
    },
    "SyncStreamsFull": {
        'sync_streams_connections{process="w:1",transport="websocket"}': "50x29 801x60",
    },
    "SyncStreamsFullSoon": {
        'sync_streams_open_descriptors{process="w:1"}': "100+5x90",
    },
    "SyncStreamsWebhooks": {
        'sync_streams_webhooks_total{process="w:1",outcome="refused"}': "0+60x90",
    },
    "SyncStreamsRateRefusals": {
        'sync_streams_rate_refusals_total{process="w:1"}': "0+90x90",
    },
}
"""The changes to series that make each alert fire at minute 45."""

IMPLIED = {"SyncStreamsDescriptors": {"SyncStreamsFullSoon"}}
"""Alerts that may fire together with another."""

LOOK_SECONDS = 0.2
"""Pause between two queries to Prometheus, which scrapes once a second."""


def queries() -> list[str]:
    """Return each query of the dashboard, as Prometheus reads it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [one["expr"] for panel in panels for one in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "1m") for query in found]


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        cannot_have("promtool")
    run = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def case(changes: dict[str, str], fires: set[str]) -> dict[str, Any]:
    """Return a case for promtool: which of all alerts fire at minute 45."""
    pairs = [line.rpartition(" ") for line in WELL.strip().splitlines()]
    series = {name: values for name, _, values in pairs} | changes
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    samples = [
        {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fires)
    ]
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in series.items()
        ],
        "promql_expr_test": [
            {"expr": expr, "eval_time": "45m", "exp_samples": samples}
        ],
    }


def judge(folder: Path, *cases: dict[str, Any]) -> None:
    tests = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": list(cases),
    }
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(path))


def test_alerts_are_rules_that_prometheus_takes() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    judge(tmp_path, case({}, set()))


@pytest.mark.parametrize("name", FAULTS)
def test_alert_fires_at_its_fault_and_no_other(name: str, tmp_path: Path) -> None:
    judge(tmp_path, case(FAULTS[name], {name} | IMPLIED.get(name, set())))


def test_every_alert_has_a_fault_and_says_what_to_do() -> None:
    names = {rule["alert"] for rule in rules()}
    told = set(re.findall(r"^\| `(SyncStreams\w+)` \|", PAGE.read_text(), re.MULTILINE))

    assert names == set(FAULTS) == told


@pytest.mark.parametrize("query", [*queries(), *(rule["expr"] for rule in rules())])
def test_every_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    suffixes = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_count", "_sum"),
    }
    known = {
        f"{PREFIX}{name}{suffix}": family
        for name, family in FAMILIES.items()
        for suffix in suffixes[family.kind]
    }
    names = re.findall(r"sync_streams_\w+", query)
    asked = re.findall(r"(\w+)!?=", query)
    asked += re.findall(r"\w+", " ".join(re.findall(r"(?:by|on) \(([^)]*)\)", query)))
    labels = {label for name in names for label in known[name].labels}

    assert names
    assert set(asked) <= labels | OWN_LABELS


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(queries())
    bounds = {"max_lag_seconds"}

    assert {name for name in FAMILIES if PREFIX + name not in shown} == bounds


@pytest.mark.parametrize(
    ("family", "query"),
    [
        (Family("gauge", "…"), "sync_streams_new"),
        (Family("counter", "…"), "sum(rate(sync_streams_new_total[$__rate_interval]))"),
        (Family("counter", "…", ("why",)), "sum by (why) (rate(sync_streams_new_total"),
        (Family("histogram", "…"), "rate(sync_streams_new_bucket[$__rate_interval])"),
    ],
    ids=["gauge", "counter", "labelled", "histogram"],
)
def test_a_metric_without_a_panel_gets_its_own(
    monkeypatch: pytest.MonkeyPatch, family: Family, query: str
) -> None:
    monkeypatch.setitem(FAMILIES, "new", family)

    panels = json.loads(dashboard.render())["panels"]

    assert "Others" in [one["title"] for one in panels if one["type"] == "row"]
    assert query in panels[-1]["targets"][0]["expr"]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with serving(tmp_path_factory.mktemp("workers")) as workers:
        yield workers


@pytest.mark.redis
def test_prometheus_has_data_for_every_panel(workers: Workers, prometheus: str) -> None:
    assert requests.get(f"{workers.base_url}/readyz", timeout=WAIT_SECONDS).ok
    workers.request("/default/Streams", UniqueName="asked")
    with Client(workers, "asked"):
        pass  # one that ends
    with Client(workers, "asked") as client:
        for number in range(MAX_TRIES):
            assert workers.publish("asked", number) in {201, 429}
            if len(ask(prometheus, "sync_streams_deliveries_total > 1")):
                break
            time.sleep(LOOK_SECONDS)
        client.wait_for(0)
        # A counter starts with its first event, which may not occur on this site.
        started = workers.scrape().text
        absent = {
            f"{PREFIX}{name}_total"
            for name, family in FAMILIES.items()
            if family.kind == "counter" and f"\n{PREFIX}{name}_total{{" not in started
        }
        assert f"{PREFIX}publishes_total" not in absent
        # A rate needs two scrapes.
        empty = {
            query
            for query in queries()
            if absent.isdisjoint(re.findall(rf"{PREFIX}\w+", query))
        }
        for _ in range(MAX_TRIES):
            empty = {query for query in empty if not ask(prometheus, query)}
            if not empty:
                break
            time.sleep(LOOK_SECONDS)

    assert empty == set()


ACL = "ACL", "SETUSER", "default"
REFUSALS: dict[str, Callable[[Any], object]] = {
    "READONLY": lambda admin: admin.replicaof("127.0.0.1", free_port()),
    "OOM": lambda admin: admin.config_set("maxmemory", 1),
    "NOPERM": lambda admin: admin.execute_command(*ACL, "-evalsha"),
}


def mend(admin: Any) -> None:
    admin.execute_command(*ACL, "+@all")
    admin.config_set("maxmemory", 0)
    admin.replicaof("no", "one")


def publish_until(workers: Workers, status: int) -> None:
    for _ in range(MAX_TRIES):
        if workers.publish("paged") == status:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {status}")


def failed_parts(workers: Workers) -> set[str]:
    """Return the parts of readyz that are false in one of the processes."""
    answer = requests.get(f"{workers.base_url}/readyz", timeout=WAIT_SECONDS)
    return {part for part, holds in answer.json().items() if not holds}


def until_each_publishes(workers: Workers) -> None:
    """Publish until every process has done so once more: its Redis works again."""
    before = published(workers)
    for _ in range(MAX_TRIES):
        workers.publish("paged")
        more = published(workers) - before
        if len(more) == WORKERS:
            return
        time.sleep(0.05)
    raise AssertionError(workers.program.output)


def published(workers: Workers) -> Counter[str]:
    """Return the number of Messages that each process has published."""
    return workers.scrape().by_process("publishes_total", outcome="published")


def wait_for_alert(workers: Workers, prometheus: str, part: str) -> None:
    """Wait until two alerts fire: 503s, and the part of readyz that is their cause."""
    cause = f'ALERTS{{alertname="SyncStreamsNotReady",part="{part}"}}'
    effect = 'ALERTS{alertname="SyncStreamsPublishesUnavailable"}'
    for _ in range(MAX_TRIES):
        workers.publish("paged")
        failed_parts(workers)
        if all(ask(prometheus, query) for query in (cause, effect)):
            return
        time.sleep(LOOK_SECONDS)
    raise AssertionError(ask(prometheus, "ALERTS"))


@pytest.mark.redis
@pytest.mark.parametrize("reason", REFUSALS)
def test_log_readyz_and_an_alert_name_why_redis_refuses(
    workers: Workers, prometheus: str, reason: str
) -> None:
    workers.request("/default/Streams", UniqueName="paged")
    until_each_publishes(workers)
    line = rf"Redis 127\.0\.0\.1:{workers.redis.port} refuses to publish for .* s: "
    with redis.Redis.from_url(workers.redis.url) as admin:
        REFUSALS[reason](admin)
        try:
            publish_until(workers, 503)
            parts = failed_parts(workers)
            wait_for_alert(workers, prometheus, part="publish_rate")
        finally:
            mend(admin)
    publish_until(workers, 201)

    assert parts == {"publish_rate"}
    assert re.search(line + reason, workers.program.output)


def ask_until_firing(workers: Workers, prometheus: str, names: set[str]) -> set[str]:
    """Ask readyz and publish, as load balancers and publishers do, until all fire."""
    fired: set[str] = set()
    for _ in range(MAX_TRIES):
        workers.publish("paged")
        if "SyncStreamsNotReady" not in fired:
            failed_parts(workers)
        alerts = ask(prometheus, 'ALERTS{alertstate="firing"}')
        fired |= {one["metric"]["alertname"] for one in alerts}
        if names <= fired:
            break
    return fired


def wait_until_each_is_scraped(prometheus: str) -> None:
    """Wait until Prometheus knows what each process counted before a fault."""
    for _ in range(MAX_TRIES):
        if len(ask(prometheus, 'sync_streams_gaps_total{told="yes"}')) == WORKERS:
            return
        time.sleep(0.05)
    raise AssertionError(ask(prometheus, "sync_streams_gaps_total"))


def wait_for_each(workers: Workers, text: str, before: int) -> None:
    """Wait until each process has logged a text once more."""
    for _ in range(MAX_TRIES):
        if workers.program.output.count(text) >= before + WORKERS:
            return
        time.sleep(0.05)
    raise AssertionError(workers.program.output)


@pytest.mark.redis
def test_redis_that_hangs_fires_the_alerts_that_name_it(
    workers: Workers, prometheus: str
) -> None:
    workers.request("/default/Streams", UniqueName="paged")
    publish_until(workers, 201)
    names = {"SyncStreamsNotReady", "SyncStreamsUnreachable"}
    names.add("SyncStreamsPublishesUnavailable")
    lost, back = "does not reach this process", "reaches this process again"
    before = [workers.program.output.count(text) for text in (lost, back)]
    with Client(workers, "paged") as client:
        wait_until_each_is_scraped(prometheus)
        workers.redis.freeze()
        try:
            fired = ask_until_firing(workers, prometheus, names)
            wait_for_each(workers, lost, before[0])
        finally:
            workers.redis.thaw()
        wait_for_each(workers, back, before[1])
        publish_until(workers, 201)
        client.wait_for(0)
        fired |= ask_until_firing(workers, prometheus, {"SyncStreamsGaps"})

    assert names | {"SyncStreamsGaps"} <= fired
    assert client.gaps
    assert f"Redis 127.0.0.1:{workers.redis.port} unreachable" in workers.program.output
