"""Runs the benchmark: ``python -m bench [scenario …] [--quick] [--only …]``."""

import argparse
import shlex
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from . import chart, machine, report
from .contenders import CONTENDERS
from .goals import judge
from .plan import Plan
from .process import ROOT, redis
from .scenarios import SCENARIOS

RESULTS = ROOT / "bench" / "results"
PARTIAL_RESULTS = ROOT / "bench" / ".cache" / "results"


def main() -> None:
    """Run the requested scenarios; print and write their results."""
    options = _options()
    machine.raise_descriptor_limit()
    # A signal must also stop the servers that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with ExitStack() as stack:
        redis_url = ""
        if shutil.which("redis-server"):
            redis_url = f"redis://127.0.0.1:{stack.enter_context(redis()).port}"
        plan = _plan(options, redis_url)
        for name in options.scenarios or SCENARIOS:
            _run(name, plan, _folder(options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        help=f"any of {', '.join(SCENARIOS)} (default: all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short run of each, with few sizes"
    )
    parser.add_argument("--repeats", type=int)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="length of one measurement (3)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=20.0,
        help="seconds to wait before each trial for an idle core (20)",
    )
    parser.add_argument(
        "--only",
        default="",
        help="contenders, separated by commas, of: "
        + ", ".join(contender.name for contender in CONTENDERS),
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="folder for the results; bench/results for a whole run",
    )
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    names = {contender.name for contender in CONTENDERS}
    if unknown := set(filter(None, options.only.split(","))) - names:
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    return options


def _plan(options: argparse.Namespace, redis_url: str) -> Plan:
    only = tuple(filter(None, options.only.split(",")))
    if options.quick:
        return Plan(
            repeats=options.repeats or 1,
            seconds=2,
            warm_up=1,
            only=only,
            quick=True,
            patience=options.patience,
            redis_url=redis_url,
        )
    return Plan(
        repeats=options.repeats or 3,
        seconds=options.seconds,
        patience=options.patience,
        only=only,
        redis_url=redis_url,
    )


def _folder(options: argparse.Namespace) -> Path:
    if options.output:
        return Path(options.output)
    return PARTIAL_RESULTS if options.quick or options.only else RESULTS


def _run(name: str, plan: Plan, folder: Path) -> None:
    print(f"\n{name} …", flush=True)
    rows = []
    for row in SCENARIOS[name](plan):
        rows.append(row)
        print(
            f"  {row.case}: {row.contender}: {report.figure(row)} {row.unit}",
            flush=True,
        )
    if not rows:
        return
    report.compare(rows)
    print(report.table(rows), flush=True)
    goals = list(judge(rows))
    print("\n".join(["", *goals]), flush=True)
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    report.write(rows, folder / f"{name}.json", command=command, goals=goals)
    chart.draw(rows, folder / f"{name}.svg")
    print(f"\nwritten: {folder / name}.json, .svg", flush=True)


if __name__ == "__main__":
    main()
