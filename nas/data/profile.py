"""What is in a table, good or bad: the answer of ``nas data check``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data import sources
from nas.data.check import Columns, examine
from nas.data.demand import CLASSES, classes
from nas.data.doubts import doubts
from nas.data.holidays import NAME
from nas.data.long_table import LongTable
from nas.data.outliers import outliers
from nas.data.panel import PROMOTIONS
from nas.data.split import MIN_PAST, steps_needed
from nas.frequency import Frequency, FrequencyName
from nas.request import DataSpec


@dataclass(frozen=True, slots=True)
class Promotion:
    """One promotion column: the share of steps with it, and what it multiplies sales by (median over series)."""

    share: float
    lift: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A summary of one long table.

    Attributes:
        series: How many series.
        rows: How many rows.
        frequency: ``hourly``, ``daily`` or ``weekly``; None where it cannot be told.
        space: The built-in search space for such series.
        steps: From the first step to the last that was observed.
        first: The first step, ISO; None without any readable date.
        last: The last observed step, ISO; likewise.
        missing_steps: Steps between a series' first and last that have no row, over all series.
        zeros_share: Share of the numbers in y that are 0; None without any.
        demand: How many series are smooth, erratic, intermittent, lumpy (Syntetos, Boylan and Croston 2005).
        new_series: Series with too few observed steps to be trained on; they are forecast all the same.
        empty_series: Those of them without any.
        promotions: The future-known columns that are named as promotions are.
        known_ahead: For each column known ahead, how many steps it is given after the last observed one; None: always.
        planned_rows: Rows that only carry such plans.
        censored_share: Share of observed steps at which the article was not available; None if nothing is known.
        closed_share: Share of observed steps at which the store was closed; likewise.
        outliers: Sales far from the usual: how many.
        covariates: Column names under ``hist``, ``futr`` and ``stat``.
        warnings: What a person should look at; it does not stop a search.
        problems: What the check found, as in ``DataError.problems``.
    """

    series: int
    rows: int
    frequency: FrequencyName | None
    space: str | None
    steps: int
    first: str | None
    last: str | None
    missing_steps: int
    zeros_share: float | None
    demand: dict[str, int]
    new_series: int
    empty_series: int
    promotions: dict[str, Promotion]
    known_ahead: dict[str, int | None]
    planned_rows: int
    censored_share: float | None
    closed_share: float | None
    outliers: int
    covariates: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        lists = {kind: list(names) for kind, names in self.covariates.items()}
        return {
            **asdict(self),
            "covariates": lists,
            "warnings": list(self.warnings),
            "problems": list(self.problems),
        }


def examined(spec: DataSpec, cache: Path) -> Profile:
    """The profile of the data that a request asks for.

    Args:
        spec: Which data, which columns, which split.
        cache: Where a source may keep what is costly to make.

    Raises:
        DataError: There is no table to read.
        RequestError: The horizon does not fit in a part, at the frequency that the table has.
    """
    return profile(
        sources.load(spec, cache),
        fill=spec.fill,
        steps_needed=lambda clock: steps_needed(*spec.split_steps(clock)),
        until=spec.until,
    )


def profile(
    table: LongTable,
    *,
    fill: str | None = None,
    steps_needed: Callable[[Frequency], int] = lambda _: 1,
    until: date | None = None,
) -> Profile:
    """Sum up a table and everything that is wrong with it; the arguments are those of ``check``."""
    columns, found = examine(table, fill=fill, steps_needed=steps_needed, until=until)
    observed = columns.observed
    series, y = columns.series[observed], columns.y[observed]
    steps = np.bincount(series, minlength=len(columns.ids))
    kinds = np.bincount(classes(series, y, len(columns.ids)), minlength=len(CLASSES))
    odd = outliers(columns)
    known = len(columns.row) > 0
    return Profile(
        series=len(columns.ids),
        rows=columns.total,
        frequency=columns.clock.name if known else None,
        space=columns.clock.space if known else None,
        steps=columns.steps,
        first=columns.date(0) if known else None,
        last=columns.date(columns.steps - 1) if columns.steps else None,
        missing_steps=_missing_steps(columns, series),
        zeros_share=float((y == 0).mean()) if len(y) else None,
        demand={name: int(count) for name, count in zip(CLASSES, kinds, strict=True) if count},
        new_series=int((steps < MIN_PAST).sum()),
        empty_series=int((steps == 0).sum()),
        promotions=_promotions(table, columns, observed),
        known_ahead=_known_ahead(table, columns),
        planned_rows=int((~observed).sum()),
        censored_share=_share(columns, table.available, observed),
        closed_share=_share(columns, table.open, observed),
        outliers=odd.count,
        covariates={"hist": table.hist, "futr": table.planned, "stat": table.stat},
        warnings=tuple(doubts(table, columns, odd)) if known else (),
        problems=found.problems(),
    )


def _missing_steps(columns: Columns, series: NDArray[np.int32]) -> int:
    """Duplicates fill no gap."""
    step = columns.step[columns.observed]
    if not len(series):
        return 0
    apart = np.diff(step)
    gaps = np.maximum(apart - 1, 0, where=series[1:] == series[:-1], out=np.zeros_like(apart))
    missing = int(gaps.sum(dtype=np.int64))
    if len(columns.skipped):
        at = np.flatnonzero(gaps)
        between = np.searchsorted(columns.skipped, step[at + 1]) - np.searchsorted(columns.skipped, step[at])
        missing -= int(between.sum())
    return missing


def _share(columns: Columns, name: str | None, observed: NDArray[np.bool_]) -> float | None:
    if name is None or not observed.any():
        return None
    return float((columns.numbers[name][observed] <= 0).mean())


def _promotions(table: LongTable, columns: Columns, observed: NDArray[np.bool_]) -> dict[str, Promotion]:
    found = {}
    size = len(columns.ids)
    series, y = columns.series[observed], columns.y[observed]
    for name in table.planned:
        if not name.lower().startswith(PROMOTIONS) or not len(y):
            continue
        on = columns.numbers[name][observed] > 0
        counts, both = np.bincount(series, minlength=size), np.bincount(series, y, size)
        with_it, sold = np.bincount(series[on], minlength=size), np.bincount(series[on], y[on], size)
        without, rest = counts - with_it, both - sold
        usable = (with_it > 0) & (without > 0) & (rest > 0)
        ratio = (sold[usable] / with_it[usable]) / (rest[usable] / without[usable])
        found[name] = Promotion(float(on.mean()), float(np.median(ratio)) if len(ratio) else None)
    return found


def _known_ahead(table: LongTable, columns: Columns) -> dict[str, int | None]:
    """The farthest plan of each column, in steps after the last observed one."""
    after = columns.step >= columns.steps
    ahead: dict[str, int | None] = {}
    for name in table.planned:
        planned = columns.step[after & ~np.isnan(columns.numbers[name])]
        ahead[name] = int(planned.max()) + 1 - columns.steps if len(planned) else 0
    return ahead | ({NAME: None} if table.holidays else {})
