"""The check: a long table in, clean columns out, or every problem at once with row and column.

Rows are counted as in the file: the header is row 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.data.findings import Findings
from nas.data.long_table import KEYS, LongTable

_DATE = r"(?:\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?|\d{8})"  # no zone: days are the store's own
_YEARS = ("1900-01-01", "2200-01-01")
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_NO_DAY = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """The columns of a table, parsed: N rows, in file order. Clean only if nothing was found.

    Attributes:
        ids: The distinct series, sorted.
        series: int64 [N], position in ``ids``; -1 where the id is missing.
        day: int64 [N], days since 1970-01-01; the lowest integer where there is no date.
        y: float64 [N]; NaN where there is no number.
        numbers: The historic and future-known covariates by name, float64 [N] each.
        words: The static covariates by name, object [N] each.
    """

    ids: tuple[str, ...]
    series: NDArray[np.int64]
    day: NDArray[np.int64]
    y: NDArray[np.float64]
    numbers: dict[str, NDArray[np.float64]]
    words: dict[str, NDArray[np.object_]]

    @property
    def dated(self) -> NDArray[np.bool_]:
        """Where there is a readable date, bool [N]."""
        dated: NDArray[np.bool_] = self.day != _NO_DAY
        return dated

    def date(self, row: int) -> np.datetime64:
        """The date of one row that has one."""
        return np.datetime64(int(self.day[row]), "D")


def check(table: LongTable, *, fill: str | None = None, steps_needed: int = 1) -> Columns:
    """Parse a table and refuse it if anything is wrong with it.

    Args:
        table: The table.
        fill: ``zero`` or ``previous`` accept missing days inside a series; None refuses them.
        steps_needed: Shortest calendar that the split can use.

    Raises:
        DataError: Carries every problem, with row and column.
    """
    columns, findings = examine(table, fill=fill, steps_needed=steps_needed)
    findings.raise_any()
    return columns


def examine(table: LongTable, *, fill: str | None = None, steps_needed: int = 1) -> tuple[Columns, Findings]:
    """Like :func:`check`, but hand the findings back instead of raising them."""
    found = Findings()
    frame = _named(table, found)
    if not len(frame):
        found.table("empty table", "the table has no rows, expected one per series and day")
    ids, series = _series(frame, found)
    columns = Columns(
        ids=ids,
        series=series,
        day=_days(frame, found),
        y=_numbers(frame, "y", found, least=0),
        numbers={name: _numbers(frame, name, found) for name in (*table.hist, *table.futr)},
        words={name: _words(frame, name, series, found) for name in table.stat},
    )
    _calendar(columns, found, fill=fill, steps_needed=steps_needed)
    return columns, found


def _named(table: LongTable, found: Findings) -> pd.DataFrame:
    """The frame with a column for every name that was promised, and findings for the others."""
    frame, expected = table.frame, (*KEYS, *table.hist, *table.futr, *table.stat)
    for name in dict.fromkeys(frame.columns[frame.columns.duplicated()]):
        found.table("duplicate column", f"column {name} is there more than once; keep one")
    frame = frame.loc[:, ~frame.columns.duplicated()]
    present = set(frame.columns)
    for name in expected:
        if name not in present:
            found.table("missing column", f"column {name} is missing; the table has {_list(frame.columns)}")
    for name in frame.columns:
        if name not in {*expected, *table.ignore}:
            says = f"column {name} is not named under hist, futr or stat; name it or list it under ignore"
            found.table("unnamed column", says)
    return frame.reset_index(drop=True)


def _list(names: Iterable[Any]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:10]) + (f" and {len(texts) - 10} more" if len(texts) > 10 else "") or "none"


def _series(frame: pd.DataFrame, found: Findings) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if "unique_id" not in frame:
        return (), np.full(len(frame), -1)
    names = _texts(frame["unique_id"])
    missing = (names == "").to_numpy(bool)
    found.rows("missing id", "unique_id", np.flatnonzero(missing), lambda _: "the series has no name; give it one")
    codes, ids = pd.factorize(names.mask(missing).astype(object), sort=True)
    return tuple(ids), codes.astype(np.int64)


def _days(frame: pd.DataFrame, found: Findings) -> NDArray[np.int64]:
    if "ds" not in frame:
        return np.full(len(frame), _NO_DAY)
    column, times = frame["ds"], _times(frame["ds"])
    times = times.where(times.between(*_YEARS, inclusive="left"))
    readable = times.notna().to_numpy(bool)
    timed = readable & (times != times.dt.normalize()).to_numpy(bool)
    found.rows(
        "unreadable date",
        "ds",
        np.flatnonzero(~readable),
        lambda row: f"{str(column[row])!r} is not a date of 1900 to 2199, expected one like 2024-03-31",
    )
    found.rows(
        "not daily",
        "ds",
        np.flatnonzero(timed),
        lambda row: f"{column[row]} has a time of day, expected whole days: sum the rows up by day",
    )
    return times.to_numpy().astype("datetime64[D]").astype(np.int64)


def _times(column: pd.Series[Any]) -> pd.Series[pd.Timestamp]:
    """Local time stamps, NaT where unreadable. Each distinct text is read once: a table repeats its days."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return cast("pd.Series[pd.Timestamp]", column.dt.tz_localize(None))
    codes, texts = pd.factorize(_texts(column))
    distinct = pd.Series(texts, dtype=object)
    times = pd.to_datetime(distinct.where(distinct.str.fullmatch(_DATE)), format="ISO8601", errors="coerce")
    return times.iloc[codes].reset_index(drop=True)


def _texts(column: pd.Series[Any]) -> pd.Series[str]:
    """Stripped texts, "" where a value is missing.

    Columns of mixed types go value by value: pandas would try to decode bytes among them.
    """
    mixed = column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype)
    texts = column.astype(object).map(str) if mixed else column.astype(str)
    return texts.where(column.notna(), "").str.strip()


def _numbers(frame: pd.DataFrame, name: str, found: Findings, least: float = -np.inf) -> NDArray[np.float64]:
    if name not in frame:
        return np.full(len(frame), np.nan)
    column = frame[name]
    plain = column if column.dtype.kind in "biuf" else _texts(column)  # "2.5", Decimals, lists, dates
    values = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    empty, number = column.isna().to_numpy(bool), ~np.isnan(values)
    infinite = np.abs(values) > _FLOAT32_MAX

    def report(kind: str, bad: NDArray[np.bool_], says: str) -> None:
        found.rows(kind, name, np.flatnonzero(bad), lambda row: f"{str(column[row])!r} {says}")

    found.rows("missing number", name, np.flatnonzero(empty), lambda _: "there is no number; give one")
    report("not a number", ~empty & ~number, "is not a number, expected digits with a decimal point")
    report("infinite number", infinite, "is not finite in 32 bits; give the real number")
    report("negative sales", ~infinite & (values < least), "is negative, expected 0 or more; take returns out")
    return values


def _words(frame: pd.DataFrame, name: str, series: NDArray[np.int64], found: Findings) -> NDArray[np.object_]:
    if name not in frame:
        return np.full(len(frame), "", dtype=object)
    column = frame[name]
    missing = column.isna().to_numpy(bool)
    found.rows("missing static value", name, np.flatnonzero(missing), lambda _: "there is no value; give one")
    words = _texts(column).to_numpy(object)
    codes, _ = pd.factorize(words)
    known = np.flatnonzero((series >= 0) & ~missing)
    _, first, which = np.unique(series[known], return_index=True, return_inverse=True)
    before = known[first][which]  # for each known row, the first row of its series
    varies = codes[known] != codes[before]
    _, once = np.unique(series[known][varies], return_index=True)
    was = dict(zip(known[varies][once].tolist(), before[varies][once].tolist(), strict=True))
    found.rows(
        "static value that varies",
        name,
        known[varies][once],
        lambda row: f"{words[row]!r} differs from {words[was[row]]!r} in row {was[row] + 2} of the same series",
    )
    return words


def _calendar(columns: Columns, found: Findings, *, fill: str | None, steps_needed: int) -> None:
    """Duplicates, missing days, other frequencies, and whether the calendar is long enough."""
    known = np.flatnonzero((columns.series >= 0) & columns.dated)
    order = known[np.lexsort((columns.day[known], columns.series[known]))]
    if not len(order):
        return
    series, day = columns.series[order], columns.day[order]
    step = np.where(series[1:] == series[:-1], day[1:] - day[:-1], 1)
    span = int(day.max() - day.min()) + 1
    if span < steps_needed:
        found.table("too short", f"the table spans {span} days, the split needs at least {steps_needed}")

    def name(row: int) -> str:
        return f"series {columns.ids[columns.series[row]]!r}"

    twin = dict(zip(order[1:].tolist(), order[:-1].tolist(), strict=True))
    again = order[1:][step == 0]
    found.rows("duplicate", "ds", again, lambda row: f"{name(row)} has this day already in row {twin[row] + 2}")
    after = np.flatnonzero(step > 1) + 1
    if fill or not len(after):
        return
    within = step[(series[1:] == series[:-1]) & (step > 0)]
    if np.median(within) > 1:
        says = f"rows of a series are mostly {np.median(within):.0f} days apart, expected one row per day"
        found.table("not daily", f"{says}; give daily sales, or choose fill: zero if days without sales are left out")
        return
    _, first, which = np.unique(series[after], return_index=True, return_inverse=True)
    lacking = dict(zip(order[after][first].tolist(), np.bincount(which, step[after - 1] - 1).tolist(), strict=True))
    found.rows(
        "series with missing days",
        "ds",
        order[after][first],
        lambda row: (
            f"{name(row)} lacks {lacking[row]:.0f} days, the first is {columns.date(twin[row]) + 1}; "
            "add them, or choose fill: zero or previous"
        ),
    )
