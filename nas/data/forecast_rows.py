"""The columns of a table of forecasts, parsed, with every finding by row and column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.data.findings import Findings
from nas.data.forecasts import POINT
from nas.data.panel import Panel
from nas.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

KEYS = ("unique_id", "cutoff", "ds")
BESIDE = ("in_sample", "y", "__index_level_0__")
"""Other columns that may be there; the last is a pandas index, which ``to_parquet`` writes by itself."""
_INTERVAL = re.compile(r"yhat-(lo|hi)-(\d+(?:\.\d+)?)")
_LEVEL = re.compile(r"q(0?\.\d+)")
_NO_HOUR = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """The columns, parsed: N rows in file order. ``series`` is -1 where the panel has no such series."""

    series: NDArray[np.int64]
    origin: NDArray[np.int64]
    step: NDArray[np.int64]
    forecast: NDArray[np.float32]
    in_sample: NDArray[np.bool_]

    @classmethod
    def of(cls, table: pa.Table, panel: Panel, levels: dict[float, str], until: date | None, found: Findings) -> Rows:
        cutoff, ahead = (_hours(table, name, found) for name in ("cutoff", "ds"))
        readable = (cutoff != _NO_HOUR) & (ahead != _NO_HOUR)
        late = np.flatnonzero(readable & (cutoff >= ahead))
        found.rows(
            "cutoff not before ds",
            "cutoff",
            late,
            _file_rows(len(cutoff)),
            lambda row: (
                f"{_when(cutoff[row])} is not before the forecast step {_when(ahead[row])}; a cutoff is the last step "
                "that was known before the forecast"
            ),
        )
        first, length, unit = panel.hour(0), panel.clock.hours, panel.clock.unit
        off = readable & (((cutoff - first) % length != 0) | ((ahead - first) % length != 0))
        found.rows(
            "between two steps",
            "ds",
            np.flatnonzero(off),
            _file_rows(len(cutoff)),
            lambda row: (
                f"{_when(cutoff[row])} to {_when(ahead[row])} are no whole {unit}s of the data, which begin at "
                f"{panel.date(0)}; give the step's own time"
            ),
        )
        step, origin = ((hours - first) // length for hours in (ahead, cutoff))
        series = _series(table, panel, found)
        _expect_once(series, origin, step, readable, panel, found)
        in_sample = _in_sample(table, found)
        if until is not None:
            in_sample |= ahead < int(np.datetime64(until, "h").astype(np.int64)) + 24
        values = np.stack([_numbers(table, name, found) for name in levels.values()], axis=-1)
        return cls(series, origin + 1, step, values, in_sample)


def opened(path: Path) -> pa.Table:
    """Read a Parquet file.

    Raises:
        DataError: There is none, or it is not Parquet.
    """
    import pyarrow as pa  # noqa: PLC0415 a fifth of a second that only importing needs
    import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415 likewise

    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a Parquet file on the service's computer.")
    try:
        return pq.read_table(path).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(f"{path} cannot be read as Parquet ({reason}); write the forecasts as Parquet.") from error


def levels_of(names: list[str], found: Findings) -> dict[float, str]:
    """Level -> column, ascending; the point forecast is the level 0.5."""
    levels = {}
    for name in names:
        if name == "yhat":
            level = POINT
        elif interval := _INTERVAL.fullmatch(name):
            half = float(interval[2]) / 200
            level = 0.5 - half if interval[1] == "lo" else 0.5 + half
        elif quantile := _LEVEL.fullmatch(name):
            level = float(quantile[1])
        else:
            if name not in (*KEYS, *BESIDE):
                found.table(
                    "unknown column",
                    f"column {name} is none of {', '.join(KEYS)}, yhat, yhat-lo-80, q0.1, "
                    "in_sample or y; rename it to what it is, or leave it out",
                )
            continue
        level = round(level, 6)
        if level in levels or not 0 < level < 1:
            found.table(
                "level twice",
                f"column {name} is the level {level:g}, which another column has or none can have; keep one",
            )
            continue
        levels[level] = name
    if "yhat" not in names:
        found.table("missing column", f"column yhat is missing; the table has {', '.join(names)}")
    return dict(sorted(levels.items()))


def _hours(table: pa.Table, name: str, found: Findings) -> NDArray[np.int64]:
    """Hours since 1970, local; each distinct time is read once, for a table of forecasts repeats them."""
    import pandas as pd  # noqa: PLC0415 as in opened
    import pyarrow as pa  # noqa: PLC0415 as in opened

    column = table.column(name)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        found.table("unreadable date", f"column {name} holds numbers ({column.type}), expected dates like 2024-03-31")
        return np.full(len(column), _NO_HOUR)
    coded = column.dictionary_encode().combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    distinct = coded.dictionary.to_pandas()
    dated = distinct.dtype.kind == "M"
    try:
        times = distinct if dated else pd.to_datetime(distinct, errors="coerce", format="ISO8601")
    except (TypeError, ValueError):
        found.table(
            "unreadable date", f"column {name} is {column.type}, or of several zones; give the store's own time"
        )
        return np.full(len(column), _NO_HOUR)
    if getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_localize(None)
    known = (times.notna() & (times == times.dt.floor("h"))).to_numpy()
    hours = np.where(known, times.to_numpy().astype("datetime64[h]").astype(np.int64), _NO_HOUR)
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.float64)
    present = np.isfinite(codes)
    found_hours = np.full(len(codes), _NO_HOUR)
    found_hours[present] = hours[codes[present].astype(np.int64)]
    found.rows(
        "unreadable date",
        name,
        np.flatnonzero(found_hours == _NO_HOUR),
        _file_rows(len(column)),
        lambda row: f"{column[row].as_py()!r} is not a date or whole hour, expected one like 2024-03-31",
    )
    return found_hours


def _series(table: pa.Table, panel: Panel, found: Findings) -> NDArray[np.int64]:
    import pyarrow as pa  # noqa: PLC0415 as in opened
    import pyarrow.compute as pc  # type: ignore[import-untyped]  # noqa: PLC0415 as in opened

    column = table.column("unique_id")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        names = column.cast(pa.string())
    except pa.ArrowException:
        found.table("unknown series", f"column unique_id is {column.type}, expected the names of the data's series")
        return np.full(len(column), -1, np.int64)
    place = pc.index_in(names, value_set=pa.array(panel.ids, pa.string()))
    series: NDArray[np.int64] = place.fill_null(-1).to_numpy().astype(np.int64)
    if len(series) and (series < 0).all():
        known = ", ".join(panel.ids[:3])
        found.table(
            "unknown series",
            f"column unique_id has no series of the data, which are {known} and so on; "
            f"the first row's is {column[0].as_py()!r}",
        )
    return series


def _numbers(table: pa.Table, name: str, found: Findings) -> NDArray[np.float32]:
    import pyarrow as pa  # noqa: PLC0415 as in opened

    column = table.column(name)
    try:
        values = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        found.table("not a number", f"column {name} is {column.type}, expected numbers")
        return np.zeros(len(column), np.float32)
    bad = np.flatnonzero(~(np.abs(values) <= np.finfo(np.float32).max))
    found.rows(
        "not a number",
        name,
        bad,
        _file_rows(len(column)),
        lambda row: f"{column[row].as_py() or 'nothing'} is no finite number; give the forecast",
    )
    numbers: NDArray[np.float32] = np.where(np.isfinite(values), values, 0).astype(np.float32)
    return numbers


def _in_sample(table: pa.Table, found: Findings) -> NDArray[np.bool_]:
    if "in_sample" not in table.column_names:
        return np.zeros(len(table), bool)
    column = table.column("in_sample")
    flags = np.asarray(
        [int(value) if isinstance(value, int | float) and value in {0, 1} else -1 for value in column.to_pylist()],
        np.int8,
    )
    found.rows(
        "not yes or no",
        "in_sample",
        np.flatnonzero(flags < 0),
        _file_rows(len(column)),
        lambda row: (
            f"{column[row].as_py()!r} is neither true nor false; say whether the tool was fitted on this row's sales"
        ),
    )
    return flags > 0


def _expect_once(  # the parsed columns
    series: NDArray[np.int64],
    cutoff: NDArray[np.int64],
    step: NDArray[np.int64],
    readable: NDArray[np.bool_],
    panel: Panel,
    found: Findings,
) -> None:
    rows = np.flatnonzero(readable & (series >= 0))
    rows = rows[np.lexsort((rows, step[rows], cutoff[rows], series[rows]))]
    same = (np.diff(series[rows]) == 0) & (np.diff(cutoff[rows]) == 0) & (np.diff(step[rows]) == 0)
    before = dict(zip(rows[1:][same].tolist(), rows[:-1][same].tolist(), strict=True))
    found.rows(
        "duplicate",
        "ds",
        rows[1:][same],
        _file_rows(len(series)),
        lambda row: (
            f"series {panel.ids[series[row]]!r} has this cutoff and step already in row {before[row] + 2}; keep one"
        ),
    )


def _when(hour: Any) -> str:
    text = str(np.datetime64(int(hour), "h"))
    return text.removesuffix("T00")


def _file_rows(count: int) -> NDArray[np.int64]:
    """The file's rows of so many positions; the header is row 1."""
    return np.arange(2, count + 2)
