"""The long table: one row per series and day, as every source gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("unique_id", "ds", "y")
"""Series, day and units sold: the columns that every table has (Nixtla's names)."""


@dataclass(frozen=True, eq=False, slots=True)
class LongTable:
    """A sales table that has not been checked yet.

    Attributes:
        frame: Columns ``unique_id``, ``ds``, ``y`` and those named below; row 0 is row 2 of the
            file, under its header.
        hist: Columns known only once the day is over.
        futr: Columns known ahead of time.
        stat: Columns that do not change within a series.
        ignore: Columns that are left out on purpose.
        open: A column known ahead that is 0 where the store is closed.
        available: A column that is 0 or less where sales were censored.
    """

    frame: pd.DataFrame
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    stat: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    open: str | None = None
    available: str | None = None
