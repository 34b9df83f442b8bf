"""A task as the data frames that Nixtla's libraries take, with calendar and one-hot static covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.accuracy.task import Task

MOST_WORDS = 40
"""A static covariate with more values is an id, for which these libraries have no embedding."""


@dataclass(frozen=True, eq=False)
class Frames:
    """One row per series and day, ``static`` one per series; names of the covariates by kind."""

    all: pd.DataFrame
    static: pd.DataFrame
    first_day: int
    horizon: int
    series: int
    futr: list[str]
    hist: list[str]
    stat: list[str]

    @classmethod
    def of(cls, task: Task) -> Frames:
        series, days = task.y.shape
        dates = pd.DatetimeIndex(task.dates(range(days)))
        frame = pd.DataFrame(
            {"unique_id": np.repeat(task.ids, days), "ds": np.tile(dates, series), "y": task.y.ravel()}
        )
        hist = [f"hist_{name}" for name in task.hist_names]
        futr = [f"futr_{name}" for name in task.futr_names]
        for names, values in ((hist, task.hist), (futr, task.futr)):
            for k, name in enumerate(names):
                frame[name] = values[..., k].ravel()
        calendar = calendar_of(dates)
        if not task.saw_a_year:
            calendar = {name: values for name, values in calendar.items() if not name.startswith("year_")}
        for name, values in calendar.items():
            frame[name] = np.tile(values, series)
        static = pd.DataFrame({"unique_id": task.ids, **static_of(task)})
        names = [name for name in static if name != "unique_id"]
        return cls(frame, static, task.first_day, task.horizon, series, [*futr, *calendar], hist, names)

    def before(self, origin: int) -> pd.DataFrame:
        """What is known on the eve of an origin."""
        return self.all[self.all["ds"] < self._date(origin)].reset_index(drop=True)

    def request(self, origin: int, keep: int = 400) -> dict[str, pd.DataFrame]:
        """What ``predict`` takes: so many days of past, the plans, the static covariates."""
        past = self.before(origin)
        past = past[past["ds"] >= self._date(origin - keep)].reset_index(drop=True)
        ahead = self.all[(self.all["ds"] >= self._date(origin)) & (self.all["ds"] < self._date(origin + self.horizon))]
        plan = ahead[["unique_id", "ds", *self.futr]].reset_index(drop=True)
        return {"df": past, "futr_df": plan, "static_df": self.static}

    def laid(self, forecast: pd.DataFrame, origin: int) -> NDArray[np.floating[Any]]:
        """A library's forecast as [S, H], series in the task's order."""
        values = forecast.columns.difference(["unique_id", "ds"])[0]
        ordered = forecast.set_index(["unique_id", "ds"])[values]
        index = pd.MultiIndex.from_frame(self.request(origin, 1)["futr_df"][["unique_id", "ds"]])
        laid: NDArray[np.floating[Any]] = ordered.reindex(index).to_numpy().reshape(self.series, self.horizon)
        return laid

    def _date(self, day: int) -> pd.Timestamp:
        return pd.Timestamp(np.datetime64(self.first_day + day, "D"))


def calendar_of(dates: pd.DatetimeIndex) -> dict[str, NDArray[np.floating[Any]]]:
    """Weekday one-hot, day of month, and the year's phase."""
    found = {f"weekday_{w}": (dates.dayofweek == w).astype(np.float32) for w in range(7)}
    phase = 2 * np.pi * dates.dayofyear.to_numpy() / 365.25
    return {**found, "day_of_month": dates.day.to_numpy() / 31, "year_sin": np.sin(phase), "year_cos": np.cos(phase)}


def static_of(task: Task) -> dict[str, NDArray[np.floating[Any]]]:
    """One-hot columns of every static covariate that groups series."""
    found = {}
    for k, (name, words) in enumerate(zip(task.stat_names, task.stat_vocab, strict=True)):
        if len(words) <= MOST_WORDS:
            for code in range(1, len(words) + 1):
                found[f"stat_{name}_{code}"] = (task.stat[:, k] == code).astype(np.float32)
    return found
