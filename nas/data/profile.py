"""What is in a table, good or bad: the answer of ``nas data check``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.data.check import Columns, examine
from nas.data.long_table import LongTable


@dataclass(frozen=True, slots=True)
class Profile:
    """A summary of one long table.

    Attributes:
        series: How many series.
        rows: How many rows.
        first_day: First day, ISO; None without any readable date.
        last_day: Last day, ISO; None without any readable date.
        zeros_share: Share of the numbers in y that are 0; None without any.
        missing_days: Days between a series' first and last that have no row, over all series.
        covariates: Column names under ``hist``, ``futr`` and ``stat``.
        problems: What the check found, as in ``DataError.problems``.
    """

    series: int
    rows: int
    first_day: str | None
    last_day: str | None
    zeros_share: float | None
    missing_days: int
    covariates: dict[str, tuple[str, ...]]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {kind: list(names) for kind, names in self.covariates.items()}
        return {**asdict(self), "covariates": lists, "problems": list(self.problems)}


def profile(table: LongTable, *, fill: str | None = None, steps_needed: int = 1) -> Profile:
    """Sum up a table and everything that is wrong with it; the arguments are those of ``check``."""
    columns, findings = examine(table, fill=fill)
    days, sales = columns.day[columns.dated], columns.y[np.isfinite(columns.y)]
    return Profile(
        series=len(columns.ids),
        rows=len(columns.y),
        first_day=str(np.datetime64(int(days.min()), "D")) if len(days) else None,
        last_day=str(np.datetime64(int(days.max()), "D")) if len(days) else None,
        zeros_share=float((sales == 0).mean()) if len(sales) else None,
        missing_days=_missing_days(columns),
        covariates={"hist": table.hist, "futr": table.futr, "stat": table.stat},
        problems=findings.problems(),
    )


def _missing_days(columns: Columns) -> int:
    known = columns.dated & (columns.series >= 0)
    pairs = np.unique(np.stack([columns.series[known], columns.day[known]], axis=1), axis=0)
    if not len(pairs):
        return 0
    first = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    last = np.append(first[1:], len(pairs)) - 1
    return int((pairs[last, 1] - pairs[first, 1] + 1).sum() - len(pairs))
