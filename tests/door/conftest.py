"""Prints what the attacks cost, as docs/security.md has it."""

import pytest

FIGURES = "figures of an attack"
"""Property of a test that holds a row of the table."""

HEADS = [
    *("attack", "server", "inputs", "heard", "p50 / p99", "memory", "threads"),
    "how its connections ended",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    rows = [
        row
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, row in getattr(report, "user_properties", ())
        if report.when == "call" and name == FIGURES
    ]
    if rows:
        terminalreporter.section("attacks")
        for row in (HEADS, ["---"] * len(HEADS), *sorted(rows)):
            terminalreporter.write_line(f"| {' | '.join(row)} |")
