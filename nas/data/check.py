"""The check: a long table in, clean columns out, or every problem at once with row and column.

Rows are counted as in the file: the header is row 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from nas.data import holidays
from nas.data.calendar import Placed, place
from nas.data.collect import Raw, collect
from nas.data.findings import Findings
from nas.data.long_table import LongTable
from nas.data.times import HOUR
from nas.errors import DataError
from nas.frequency import DAILY, Frequency

MOST_CELLS = 2**31
"""Of one dense array: 8 GiB of 32-bit numbers."""


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """The rows of a table by series and step, N of them. Clean only if nothing was found.

    Attributes:
        ids: The series, sorted.
        clock: What a step is.
        start: The first step, ``datetime64[h]``.
        row: int32 [N], the row in the file.
        series: int32 [N], position in ``ids``.
        step: int32 [N], steps since ``start``.
        y: float32 [N]; NaN in rows that only carry plans.
        numbers: The historic and future-known covariates and the availability by name, float32 [N] each; a
            historic one may be NaN where y is, a future-known one where it is not planned yet.
        words: The static covariates by name, one text for each series.
        skipped: Steps that the clocks leave out in spring.
        open: Which of the numbers is 0 where a store is closed.
        available: Which of them is 0 or less where sales were censored.
        holidays: Whose holidays are a covariate as well.
        total: Rows of the table, with those that have no place here.
    """

    ids: tuple[str, ...]
    clock: Frequency
    start: np.datetime64
    row: NDArray[np.int32]
    series: NDArray[np.int32]
    step: NDArray[np.int32]
    y: NDArray[np.float32]
    numbers: dict[str, NDArray[np.float32]]
    words: dict[str, tuple[str, ...]]
    skipped: NDArray[np.int64]
    open: str | None = None
    available: str | None = None
    holidays: str | None = None
    total: int = 0

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Where there is a number of units sold, bool [N]."""
        observed: NDArray[np.bool_] = ~np.isnan(self.y)
        return observed

    def observed_at(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Like :attr:`observed`, at some places only."""
        observed: NDArray[np.bool_] = ~np.isnan(self.y[places])
        return observed

    @property
    def steps(self) -> int:
        """From the first step to the last that was observed."""
        observed = self.step[self.observed]
        return int(observed.max()) + 1 if len(observed) else 0

    def date(self, step: int) -> str:
        """The time of a step, ISO, to the day or to the hour."""
        hour = self.start + np.timedelta64(int(step) * self.clock.hours, "h")
        return str(hour if self.clock.hours % 24 else hour.astype("datetime64[D]"))


def check(
    table: LongTable,
    *,
    fill: str | None = None,
    steps_needed: Callable[[Frequency], int] = lambda _: 1,
    until: date | None = None,
) -> Columns:
    """Parse a table and refuse it if anything is wrong with it.

    Args:
        table: The table.
        fill: ``zero`` or ``previous`` accept missing steps inside a series; None refuses them.
        steps_needed: Shortest calendar that the split can use, at the frequency that is found.
        until: The last day whose sales are used; later rows only carry plans.

    Raises:
        DataError: Carries every problem, with row and column.
    """
    columns, findings = examine(table, fill=fill, steps_needed=steps_needed, until=until)
    findings.raise_any()
    return columns


def examine(
    table: LongTable,
    *,
    fill: str | None = None,
    steps_needed: Callable[[Frequency], int] = lambda _: 1,
    until: date | None = None,
) -> tuple[Columns, Findings]:
    """Like :func:`check`, but hand the findings back instead of raising them."""
    found = Findings()
    if table.holidays:
        try:
            holidays.on(table.holidays, np.datetime64("2024-01-01"), 0, DAILY)
        except DataError as error:
            found.table("unknown holidays", str(error).rstrip("."))
    raw = collect(table, found)
    placed = place(raw, table, fill, found)
    if placed is None:
        return _nothing(table, raw), found
    columns = _columns(table, raw, placed)
    _present(table, columns, found)
    if until is not None:
        last = (np.datetime64(until, "D") + 1).astype("datetime64[h]") - columns.start
        columns.y[columns.step.astype(np.int64) * columns.clock.hours >= last.astype(np.int64)] = np.nan
    needed = steps_needed(columns.clock)
    if columns.steps < needed:
        unit = columns.clock.unit
        says = f"the table spans {columns.steps} {unit}s, the split needs at least {needed}"
        found.table("too short", f"{says}: give a longer history, or shorten the parts")
    if len(columns.ids) * (int(columns.step.max(initial=0)) + 1) > MOST_CELLS:
        says = f"{len(columns.ids):,} series from {columns.date(0)} to {columns.date(int(columns.step.max()))}"
        found.table("too large", f"{says} are too many steps for {len(columns.row):,} rows; look for wrong dates")
    return columns, found


def _columns(table: LongTable, raw: Raw, placed: Placed) -> Columns:
    """Everything by series and step; the arrays of ``raw.numbers`` are given up one by one."""
    order, step, twins = placed.order, placed.step, placed.twins

    def sort(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        return _added(values[order], twins, name, table) if len(twins) else values[order]

    y = sort(raw.y, "y")
    numbers = {name: sort(raw.numbers.pop(name), name) for name in list(raw.numbers)}
    if len(twins):
        kept = np.delete(np.arange(len(order)), twins)
        order, step, y = order[kept], step[kept], y[kept]
        numbers = {name: values[kept] for name, values in numbers.items()}
    return Columns(
        ids=tuple(raw.ids),
        clock=placed.clock,
        start=np.datetime64(placed.start // HOUR, "h"),
        row=raw.row[order],
        series=raw.series[order],
        step=step,
        y=y,
        numbers=numbers,
        words={name: tuple(words) for name, words in raw.words.items()},
        skipped=placed.skipped,
        open=table.open,
        available=table.available,
        holidays=table.holidays,
        total=raw.total,
    )


def _added(values: NDArray[np.float32], twins: NDArray[np.int64], name: str, table: LongTable) -> NDArray[np.float32]:
    """The hour that the clocks show twice: sales are added up, availability is the less, the rest the mean."""
    first, second = values[twins - 1], values[twins]
    if name == "y":
        both = first + second
    elif name == table.available:
        both = np.minimum(first, second)
    else:
        both = (first + second) / 2
    values[twins - 1] = both
    return values


def _nothing(table: LongTable, raw: Raw) -> Columns:
    none = np.zeros(0, np.int32)
    return Columns(
        ids=tuple(raw.ids),
        clock=DAILY,
        start=np.datetime64(0, "h"),
        row=none,
        series=none,
        step=none,
        y=none.astype(np.float32),
        numbers={name: none.astype(np.float32) for name in table.numbers},
        words={name: ("",) * len(raw.ids) for name in table.stat},
        skipped=none.astype(np.int64),
        total=raw.total,
    )


def _present(table: LongTable, columns: Columns, found: Findings) -> None:
    """Numbers that are missing: sales may only be missing after a series' last, and plans only there."""
    observed, series = columns.observed, columns.series
    last = np.full(len(columns.ids), -1, np.int64)
    last[series[observed]] = np.flatnonzero(observed)  # ascending, so that the last one stays
    if not observed.any():
        if "missing column" not in found.counts:
            found.table("no sales", f"column {table.keys.y} has no number in any row; give the units sold")
        return

    def report(kind: str, name: str, missing: NDArray[np.bool_], says: str) -> None:
        found.rows(kind, name, np.flatnonzero(missing), columns.row, lambda _: says)

    if not observed.all():
        inside = ~observed & (np.arange(len(series)) < last[series])
        report("missing number", table.keys.y, inside, "there is no number; give one, or 0 where nothing was sold")
    for name, values in columns.numbers.items():
        missing = np.isnan(values)
        if missing.any():
            report("missing number", name, missing & observed, "there is no number; give one")
    if table.open is not None:
        sold = (columns.numbers[table.open] == 0) & (columns.y > 0)
        says = f"the store is closed, and yet {table.keys.y} is above 0; correct one of the two"
        report("sales while closed", table.open, sold, says)
