"""What the cells found, put together: per setting and method the mean over seeds, and paired comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import cells, judging
from benchmarks.accuracy.settings import Setting

ALWAYS = ("horizon", "promotion", "season")
MOST_SLICES = 12


@dataclass(frozen=True, eq=False)
class Row:
    """One method in one setting; ``results`` by seed, ``errors`` the mean of their absolute errors per series."""

    setting: Setting
    method: str
    results: list[dict[str, Any]]
    errors: NDArray[np.float64]
    sales: NDArray[np.float64]

    @property
    def title(self) -> str:
        return cells.METHODS[self.method].title

    @property
    def wapes(self) -> list[float]:
        return [result["test"]["overall"]["wape"] for result in self.results]

    @property
    def wape(self) -> float:
        return float(np.mean(self.wapes))

    def mean(self, *path: str) -> float | None:
        """Mean over seeds of a figure, such as ``test``, ``overall``, ``mae``; None where it was not taken."""
        found = self._figures(*path)
        return None if None in found else float(np.mean(found))

    def cost(self, *path: str) -> float | None:
        """The least over seeds: all are of one size, and what else runs on a shared computer only adds to a cost."""
        found = self._figures(*path)
        return None if None in found else float(min(found))

    def _figures(self, *path: str) -> list[Any]:
        found = []
        for result in self.results:
            value: Any = result
            for key in path:
                value = None if value is None else value.get(key)
            found.append(value)
        return found

    @property
    def sample(self) -> list[int] | None:
        """The series that it forecast, where not all."""
        found: list[int] | None = self.results[0]["forecast_series"]
        return found


def rows(setting: Setting, budget: float) -> dict[str, Row]:
    """Every method of a setting that has run."""
    found: dict[str, list[tuple[dict[str, Any], Any, Any]]] = {}
    for cell in cells.planned(setting, budget, ""):
        if (result := cell.done) is not None:
            with np.load(cell.path.with_suffix(".npz")) as kept:
                errors, sales = judging.sums(setting, kept["test"], result["forecast_series"])
            found.setdefault(cell.method, []).append((result, errors, sales))
    return {
        method: Row(setting, method, [r for r, _, _ in each], np.mean([e for _, e, _ in each], axis=0), each[0][2])
        for method, each in found.items()
    }


def missing(setting: Setting, budget: float) -> list[str]:
    """Names of the cells that have not run."""
    return [cell.name for cell in cells.planned(setting, budget, "") if cell.done is None]


def difference(first: Row, second: Row) -> tuple[float, float, float]:
    """WAPE of the first minus the second's with its interval, on the series that both forecast."""
    sample = second.sample or first.sample
    errors = []
    for row in (first, second):
        own = row.sample or list(range(len(row.errors)))
        errors.append(row.errors if sample is None else row.errors[np.isin(own, sample)])
    sales = first.sales if sample is None or first.sample else first.sales[sample]
    return judging.paired(errors[0], errors[1], sales)


def markdown(found: dict[str, Row]) -> str:
    """Accuracy and costs of every method of one setting."""
    columns = (
        "method | WAPE | spread | MAE | bias | size kB | one series p50 ms | p95 ms | sweep s | sweep MB | training MB"
        " | tuning s | refit s"
    )
    lines = [f"| {columns} |", "|---|" + "---:|" * columns.count("|")]
    for row in sorted(found.values(), key=lambda row: row.wape):
        spread = max(row.wapes) - min(row.wapes) if len(row.wapes) > 1 else None
        values = [
            spread,
            row.mean("test", "overall", "mae"),
            row.mean("test", "overall", "bias"),
            row.cost("size_kb"),
            row.cost("latency_ms", "p50"),
            row.cost("latency_ms", "p95"),
            row.cost("sweep", "seconds"),
            row.cost("sweep", "peak_mb"),
            row.cost("training_peak_mb"),
            round(row.results[0]["tuning_seconds"], 3),
            row.cost("fit_seconds"),
        ]
        star = "" if row.sample is None else f" ({len(row.sample)} series)"
        cells_ = " | ".join("" if v is None else f"{v:.4g}" for v in values)
        lines.append(f"| {row.title}{star} | {row.wape:.4f} | {cells_} |")
    return "\n".join(lines)


def slices(found: dict[str, Row]) -> str:
    """WAPE by slice, the first seed's; slicings with many values are left to the JSON."""
    methods = [row for row in sorted(found.values(), key=lambda row: row.wape) if row.sample is None]
    if not methods:
        return ""
    lines = ["| slice | " + " | ".join(row.title for row in methods) + " |", "|---|" + "---:|" * len(methods)]
    for slicing, groups in methods[0].results[0]["test"]["slices"].items():
        judged = {name: group for name, group in groups.items() if isinstance(group, dict) and "wape" in group}
        if not 0 < len(judged) <= MOST_SLICES:
            continue
        for name in judged:
            values = [row.results[0]["test"]["slices"].get(slicing, {}).get(name, {}).get("wape") for row in methods]
            shown = " | ".join("" if v is None else f"{v:.4f}" for v in values)
            lines.append(f"| {slicing}: {name} | {shown} |")
    return "\n".join(lines)


def search(found: dict[str, Row]) -> dict[str, Any] | None:
    """What the search of our student asked for and found."""
    if "ours" not in found:
        return None
    chosen: dict[str, Any] = json.loads(json.dumps(found["ours"].results[0]["chosen"]))
    return chosen
