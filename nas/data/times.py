"""Dates of a table -> minutes on the stores' own clock, and what that clock does twice a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from numpy.typing import NDArray

from nas.data.cells import distinct, take
from nas.data.rows import Cells

DAY, HOUR = 1440, 60
"""In minutes."""
NO_TIME = int(np.iinfo(np.int32).min)
_DATE = r"(?:\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?|\d{8})"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
_UTC = ("UTC", "Etc/UTC", "+00:00")
_YEARS = pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")


@dataclass(frozen=True, eq=False, slots=True)
class Times:
    """The dates of one batch of B rows.

    Attributes:
        minute: int32 [B], minutes since 1970-01-01 00:00 on the stores' own clock; ``NO_TIME`` where unreadable.
        zoned: bool [B], where a cell says its offset from UTC, and it needs ``timezone`` to be told by.
    """

    minute: NDArray[np.int32]
    zoned: NDArray[np.bool_]


def read(cells: Cells, timezone: str | None) -> Times:
    """Read dates; those with a zone or an offset are told by the clock of ``timezone``.

    Where no time zone is given, a typed column is told by its own zone's clock, and a text as it is written. No
    store's clock is UTC: a typed column in UTC is one of dates, or its times have to be told by ``timezone``.
    """
    zone = getattr(cells.type, "tz", None)
    at, found = distinct(cells.cast(pa.int64()) if pa.types.is_timestamp(cells.type) else cells)
    values = found.to_pylist()
    if pa.types.is_timestamp(cells.type):
        stamps = pd.DatetimeIndex(np.array([value or 0 for value in values], f"M8[{cells.type.unit}]"))
        wall = stamps if zone is None else stamps.tz_localize("UTC").tz_convert(timezone or zone).tz_localize(None)
        minute = _minutes(wall)
        zoned = (minute % DAY != 0) & (timezone is None and zone in _UTC)
    else:
        minute, zoned = _texts([_text(value) for value in values], timezone)
    return Times(take(minute, at, NO_TIME), take(zoned, at, False))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value).strip()


def _texts(texts: Sequence[str], timezone: str | None) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    written = pd.Series(texts, dtype=object)
    zoned = written.str.fullmatch(f"{_DATE}{_ZONE}").to_numpy(bool)
    plain = written.str.replace(f"{_ZONE}$", "", regex=True).where(zoned, written)
    local = pd.to_datetime(plain.where(plain.str.fullmatch(_DATE)), format="ISO8601", errors="coerce")
    minute = _minutes(pd.DatetimeIndex(local))
    if zoned.any() and timezone:
        moments = pd.to_datetime(written[zoned], format="ISO8601", errors="coerce", utc=True)
        minute[zoned] = _minutes(pd.DatetimeIndex(moments).tz_convert(timezone).tz_localize(None))
    return minute, zoned


def _minutes(times: pd.DatetimeIndex) -> NDArray[np.int32]:
    """Whole minutes; a time with seconds is moved off the hour, so that it is never taken for a whole one."""
    seconds = times.to_numpy().astype("M8[s]").astype(np.int64) if len(times) else np.zeros(0, np.int64)
    known = np.asarray((times >= _YEARS[0]) & (times < _YEARS[1]), bool)
    minute: NDArray[np.int64] = np.where(known, seconds // 60, NO_TIME)
    minute += known & (seconds % 60 > 0) & (minute % HOUR == 0)
    return minute.astype(np.int32)


def stamp(minute: int) -> str:
    """A time as a message shows it."""
    moment = np.datetime64(int(minute), "m")
    return str(moment.astype("M8[D]") if minute % DAY == 0 else moment).replace("T", " ")


def clock_changes(first: int, hours: int, timezone: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which hours the clock skips in spring, and which it shows twice in autumn, bool [hours] each.

    Args:
        first: The first hour, since 1970-01-01 00:00 on the local clock.
        hours: How many.
        timezone: As ``Europe/Berlin``.
    """
    wall = pd.DatetimeIndex((first + np.arange(hours)).astype("M8[h]").astype("M8[s]"))
    skipped = wall.tz_localize(timezone, nonexistent="NaT", ambiguous=np.ones(hours, bool)).isna()
    repeated = wall.tz_localize(timezone, nonexistent="shift_forward", ambiguous="NaT").isna()
    return np.asarray(skipped, bool), np.asarray(repeated, bool)
