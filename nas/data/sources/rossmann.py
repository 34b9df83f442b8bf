"""Rossmann: daily sales of 1,115 drug stores from January 2013 to July 2015, as of the Kaggle competition.

The two files are the user's own: ``train`` and ``store``, as the CSV that Kaggle ships or as Parquet. What one
has to know:

- 181 stores lack days (most of them half a year of 2014, for a refurbishment). They are left out, rather than
  filled: 934 stores with every day of the span remain.
- A closed day is a row with ``Open`` 0 and sales of 0.
- Promo2 is a coupon mailing that goes on for years, and is started anew in three or four months of each year
  (``PromoInterval``): here it counts as known ahead, and as active in those months.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pandas as pd

from nas.data.long_table import LongTable
from nas.errors import DataError
from nas.request import DataSpec

HIST = ("customers",)
FUTR = ("open", "promo", "coupons", "state_holiday", "holiday_easter", "holiday_christmas", "school_holiday")
KINDS = {"holiday_easter": "b", "holiday_christmas": "c"}
"""State holidays whose eves differ from those of others, as ``StateHoliday`` writes them."""
STAT = ("store", "store_type", "assortment", "competition")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec")
"""As ``PromoInterval`` writes them."""
_TRAIN = ("Store", "Date", "Sales", "Customers", "Open", "Promo", "StateHoliday", "SchoolHoliday")
_PROMO2 = ("Promo2", "Promo2SinceWeek", "Promo2SinceYear", "PromoInterval")
_STORE = ("Store", "StoreType", "Assortment", "CompetitionDistance", *_PROMO2)


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - the files are read where they lie
    """Daily sales by store from the folder ``spec.path``.

    - ``customers`` (historic).
    - ``open``, ``promo``, ``coupons`` (Promo2), ``state_holiday`` (any of them), ``holiday_easter``,
      ``holiday_christmas``, ``school_holiday`` (known ahead): 0 or 1.
    - ``store``, ``store_type``, ``assortment``, ``competition`` (static): the last is the fifth of all stores that
      the distance to the nearest competitor falls into, 1 the nearest, or ``unknown``.

    Raises:
        DataError: The folder lacks one of the files, or one cannot be read as what Kaggle ships.
    """
    folder = Path(spec.path or "")
    days, stores = _read(folder, "train", _TRAIN), _read(folder, "store", _STORE)
    days["Date"] = _dates(folder, days["Date"])
    days = _complete(days).merge(_described(stores), on="Store").sort_values(["Store", "Date"], ignore_index=True)
    kind = days["StateHoliday"].astype(str)
    frame = pd.DataFrame(
        {
            "unique_id": days["Store"].astype(str),
            "ds": days["Date"],
            "y": days["Sales"],
            "customers": days["Customers"],
            "open": days["Open"],
            "promo": days["Promo"],
            "coupons": _mailed(days),
            "state_holiday": (kind != "0").astype("int8"),
            **{name: (kind == letter).astype("int8") for name, letter in KINDS.items()},
            "school_holiday": days["SchoolHoliday"],
            "store": days["Store"].astype(str),
            "store_type": days["StoreType"],
            "assortment": days["Assortment"],
            "competition": days["competition"],
        }
    )
    return LongTable(frame, HIST, FUTR, STAT, open="open")


def _read(folder: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    file = next((file for end in (".parquet", ".csv") if (file := folder / f"{name}{end}").is_file()), None)
    if file is None:
        raise DataError(
            f"There is no {name}.csv or {name}.parquet in {folder}; download the data of Kaggle's Rossmann Store Sales "
            "competition and give the folder."
        )
    try:
        # One file mixes the number 0 with letters for holidays; as text they are one kind.
        rows = pd.read_csv(file, dtype={"StateHoliday": str}) if file.suffix == ".csv" else pd.read_parquet(file)
    except (ValueError, OSError) as error:  # pandas' and arrow's
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{file} cannot be read ({reason}); download it again.") from error
    if missing := [column for column in columns if column not in rows]:
        raise DataError(f"{file} has no column {', '.join(missing)}; expected the file that Kaggle ships.")
    return rows[list(columns)]


def _dates(folder: Path, column: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    dates = pd.to_datetime(column, format="ISO8601", errors="coerce").astype("datetime64[s]")
    if (bad := dates.isna()).any():
        row = int(bad.to_numpy().argmax())
        raise DataError(
            f"row {row + 2}, column Date of train in {folder}: {str(column.iloc[row])!r} is no date, expected one like "
            "2013-01-31; download the file again."
        )
    return dates


def _complete(days: pd.DataFrame) -> pd.DataFrame:
    """The rows of stores with every day of the span."""
    span = (days["Date"].max() - days["Date"].min()).days + 1
    complete: pd.DataFrame = days.loc[days.groupby("Store")["Date"].transform("nunique") == span]
    return complete


def _described(stores: pd.DataFrame) -> pd.DataFrame:
    """The stores with their fifth of the distances to a competitor."""
    share = stores["CompetitionDistance"].rank(method="max", pct=True)
    fifth = share.map(lambda part: f"{ceil(part * 5)}", na_action="ignore").fillna("unknown")
    return stores.assign(competition=fifth)


def _mailed(days: pd.DataFrame) -> pd.Series[int]:
    """1 in the months in which a store starts its Promo2 anew, from the week on in which it first took part."""
    iso = days["Date"].dt.isocalendar()
    week = iso["year"].astype("int64") * 100 + iso["week"].astype("int64")
    since = days["Promo2SinceYear"] * 100 + days["Promo2SinceWeek"]
    months = days["PromoInterval"].fillna("")
    started = {text: {MONTHS.index(month) + 1 for month in filter(None, text.split(","))} for text in months.unique()}
    pairs = pd.MultiIndex.from_arrays([months, days["Date"].dt.month])
    anew = pairs.isin([(text, month) for text, numbers in started.items() for month in numbers])
    mailed: pd.Series[int] = ((days["Promo2"] == 1) & (week >= since) & anew).astype("int8")
    return mailed
