"""Documents show the results that are in the repository, and every kind of result."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.comparison import LAYER_CASES, NOT_MEASURED, comparison, headline, layers
from bench.contenders import CONTENDERS
from bench.document import BLOCKS, shown
from bench.measured import Results
from bench.scenarios import SCENARIOS
from bench.tables import TABLES, figures
from tests.documents import code_block

SHOWN_ELSEWHERE = {"ceiling", "redis"}
"""The generator's own limit is linked to; what Redis costs is in docs/scaling.md."""


Cases = Mapping[str, Mapping[str, float | None]]
"""Figures by case and contender; without one the contender failed."""


def measured(folder: Path, **scenarios: Cases) -> Results:
    """Return results with a figure, or a failure, by scenario, case and contender."""
    for scenario, cases in scenarios.items():
        rows = [
            row(case, contender, figure)
            for case, figures in cases.items()
            for contender, figure in figures.items()
        ]
        run = {
            "command": f"python -m bench {scenario}",
            "at": "2026-02-03T04:05:06+00:00",
            "machine": {"cpu": "CPU", "cores": 2, "kernel": "6", "python": "3"},
            "goals": ["NOT met: a goal: 1 (≥ 2)"],
            "rows": rows,
        }
        (folder / f"{scenario}.json").write_text(json.dumps(run))
    return Results(folder)


def row(case: str, contender: str, figure: float | None) -> dict[str, Any]:
    values = [] if figure is None else [figure]
    times = {"p50": [2.0] if values else [], "p99": [7.0] if values else []}
    named = {"case": case, "contender": contender, "values": values, **times}
    return named | {"median": figure or 0, "per_core": figure, "ratio": None}


@pytest.mark.parametrize(("document", "name"), BLOCKS)
def test_a_document_shows_the_results_of_the_last_runs(
    document: str, name: str
) -> None:
    expected = list(BLOCKS[document, name](Results()))

    assert shown(document, name) == expected, "run python -m bench.document"


def test_every_scenario_has_a_table() -> None:
    assert {table.scenario for table in TABLES} | SHOWN_ELSEWHERE == set(SCENARIOS)


def test_a_table_names_its_transport_and_leaves_out_missing_figures(
    tmp_path: Path,
) -> None:
    held = {"sse-frames": 3000, "sse-mercure": 1000, "sse-centrifugo": None}
    stalled = {"1 of 1000 stalled: p99 of the others": {"nchan": 12.3}}
    text = "\n".join(
        figures(measured(tmp_path, sse={"1 Stream": held}, stalled=stalled))
    )

    assert "- sse: `python -m bench sse`, 2026-02-03, CPU, 2 cores" in text
    assert "over Server-Sent Events on HTTP/1.1, published over" in text
    assert "| sse-frames | 3,000 | 2 | 7 |\n| sse-mercure | 1,000 | 2 | 7 |" in text
    assert "| sse-centrifugo | failed | failed | failed |" in text
    assert "|  | p99, one does not |\n| --- | ---: |\n| nchan | 12.3 |" in text
    assert "### Connections" not in text
    assert "- stalled, NOT met: a goal: 1 (≥ 2)" in text


def test_the_comparison_says_where_peers_are_ahead_and_who_cannot_be_measured(
    tmp_path: Path,
) -> None:
    results = measured(
        tmp_path,
        rest={"1 Stream, over REST": {"product-frames": 900, "centrifugo": 800}},
        publish={"REST, 8 publishers": {"product-frames": 4000, "centrifugo": 9000}},
        idle={"5000 connections: memory": {"product-frames": 18, "node-ws": 9}},
        sse={"1 Stream": {"sse-frames": 3000, "eventstream-uvicorn": 100}},
    )
    text = "\n".join(comparison(results))

    assert "Measured on 2026-02-03, one core of CPU each." in text
    assert "| sync_streams, `make serve` | 900 | 3,000 |" in text
    assert "| sync_streams, `make serve` | 4,000 | 18 |" in text
    assert "| django-eventstream |  | 100 |\n| Centrifugo | 800 |  |" in text
    assert "| Centrifugo | 9,000 |  |" in text
    for name, why in NOT_MEASURED.items():
        assert text.count(f"| {name}: {why} |  |  |") == 2
    assert text.partition("in these runs:\n\n")[2].splitlines() == [
        "- publishes/s, HTTP, 8 connections: Centrifugo 9,000; here 4,000",
        "- KB a WebSocket: Node `ws` 9; here 18",
    ]


def test_the_decision_for_our_channel_layer_shows_its_costs(tmp_path: Path) -> None:
    figures = {"layer-ours": 1500.0, "layer-pubsub": 2500.0}
    text = " ".join(
        layers(measured(tmp_path, layers=dict.fromkeys(LAYER_CASES, figures)))
    )

    assert text.count("1,500") == text.count("2,500") == len(LAYER_CASES)


def test_the_readme_says_over_which_transport_it_was_measured(tmp_path: Path) -> None:
    results = measured(
        tmp_path,
        headline={"1 Stream": {"product-frames": 6000, "node-ws": 3000}},
        rest={"1 Stream, over REST": {"product-frames": 5000, "centrifugo": 4000}},
        sse={"1 Stream": {"sse-frames": 4500, "sse-mercure": 1500}},
    )
    text = " ".join(headline(results))

    assert "to 6,000 subscribers over the JSON socket, published over a socket" in text
    assert "Published over REST, it is 5,000 (Centrifugo 4,000)." in text
    assert "over REST to Server-Sent Events, it is 4,500 (Mercure 1,500)." in text


def test_the_documented_commands_name_existing_scenarios_and_servers() -> None:
    block = code_block("docs/performance.md", "sh", "make bench")
    asked = re.findall(r"--only ([\w,-]+)", block)

    assert set(re.findall(r"python -m bench (\w+)", block)) <= set(SCENARIOS)
    assert {name for names in asked for name in names.split(",")} <= {
        each.name for each in CONTENDERS
    }
