"""One line of a result: a figure of one contender in one case, with its spread."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, TypedDict, Unpack

from .generator import Measurement


@dataclass(kw_only=True)
class Row:
    """Results of several runs of the same case."""

    scenario: str
    case: str
    """The case, such as ``300 subscribers``; contenders are compared within it."""

    contender: str
    unit: str
    values: list[float]
    """The figure, once per run."""

    less_is_better: bool = False
    p50: list[float] = field(default_factory=list)
    """Latency in milliseconds, once per run; empty where it does not apply."""

    p99: list[float] = field(default_factory=list)
    lost: int = 0
    """Messages that subscribers should have received but did not, over all runs."""

    errors: int = 0
    closed: int = 0
    generator_cpu: float = 0.0
    """Maximum share of its core that the load generator used."""

    server_cpu: float = 0.0
    """Median CPU seconds per second that the server used."""

    foreign_cpu: float = 0.0
    """Maximum share of the server's core that other processes used."""

    ratio: float | None = None
    """Relative to the scenario's baseline in the same case."""

    note: str = ""

    @property
    def median(self) -> float:
        """The figure itself."""
        return median(self.values) if self.values else 0.0

    @property
    def per_core(self) -> float:
        """The figure per CPU second of the server, unaffected by other load."""
        return self.median / self.server_cpu if self.server_cpu else 0.0

    @property
    def comparable(self) -> float:
        """The value used for ratios: a rate per CPU second, or else the figure."""
        is_rate = self.server_cpu and not self.less_is_better
        return self.per_core if is_rate else self.median

    def as_dict(self) -> dict[str, Any]:
        """Return the row for a JSON file."""
        derived = {"median": self.median, "per_core": self.per_core}
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in (asdict(self) | derived).items()
        }


class Names(TypedDict):
    """Whose figures a row holds."""

    scenario: str
    case: str
    contender: str


def of_deliveries(runs: Sequence[Measurement], **names: Unpack[Names]) -> Row:
    """Return deliveries per second, with the delivery latency."""
    row = Row(
        **names,
        unit="deliveries/s",
        values=[run.deliveries for run in runs],
        p50=[run.p50 for run in runs],
        p99=[run.p99 for run in runs],
    )
    return _counted(row, runs)


def of_publishes(runs: Sequence[Measurement], **names: Unpack[Names]) -> Row:
    """Return publishes per second, with the response time."""
    row = Row(
        **names,
        unit="publishes/s",
        values=[run.publishes for run in runs],
        p50=[run.reply_p50 for run in runs],
        p99=[run.reply_p99 for run in runs],
    )
    return _counted(row, runs)


def _counted(row: Row, runs: Sequence[Measurement]) -> Row:
    if runs:
        row.lost = sum(run.lost for run in runs)
        row.errors = sum(run.errors for run in runs)
        row.closed = sum(run.closed for run in runs)
        row.generator_cpu = max(run.generator_cpu for run in runs)
        row.server_cpu = median(run.server_cpu for run in runs)
        row.foreign_cpu = max(run.foreign_cpu for run in runs)
    return row
