"""The long table: one row per series and step, as every source gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.frequency import FrequencyName
from nas.request import Columns

if TYPE_CHECKING:
    import pandas as pd

    from nas.data.rows import Rows

KEYS = ("unique_id", "ds", "y")
"""Series, time and units sold: the columns that every table has (Nixtla's names)."""
_KEYS = Columns()


@dataclass(frozen=True, eq=False, slots=True)
class LongTable:
    """A sales table that has not been checked yet.

    Attributes:
        frame: The rows: a data frame (row 0 is row 2 of the file, under its header), or a file that is read in
            batches. Columns are those of ``keys`` and those named below.
        hist: Columns known only once the step is over.
        futr: Columns known ahead of time.
        stat: Columns that do not change within a series; parts of the id may be among them.
        ignore: Columns that are left out on purpose.
        open: A column known ahead that is 0 where the store is closed; becomes a future-known covariate.
        available: A column that is 0 or less where sales were censored.
        keys: What ``unique_id``, ``ds`` and ``y`` are called here.
        freq: What a step is; None: found in the rows.
        timezone: The stores' own zone.
        holidays: Country, or country and state, whose holidays become the future-known covariate ``holiday``.
    """

    frame: pd.DataFrame | Rows
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    stat: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    open: str | None = None
    available: str | None = None
    keys: Columns = _KEYS
    freq: FrequencyName | None = None
    timezone: str | None = None
    holidays: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns that together name a series."""
        return (self.keys.unique_id,) if isinstance(self.keys.unique_id, str) else self.keys.unique_id

    @property
    def planned(self) -> tuple[str, ...]:
        """Every column known ahead: ``futr``, and ``open`` unless it is one of them."""
        return self.futr if self.open is None or self.open in self.futr else (*self.futr, self.open)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every column of numbers but the sales."""
        apart = () if self.available is None or self.available in self.hist else (self.available,)
        return (*self.hist, *self.planned, *apart)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, once each."""
        return tuple(dict.fromkeys((*self.ids, self.keys.ds, self.keys.y, *self.numbers, *self.stat)))
