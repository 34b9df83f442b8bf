"""What every method is given and what it gives back: plain arrays, so that a rival needs nothing of ours."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRAYS = ("y", "mask", "open", "hist", "futr", "stat")
A_YEAR_AND_MORE = 420


@dataclass(frozen=True, eq=False)
class Task:
    """One cell's work: S daily series over T days, what to forecast, and how long one may tune.

    Attributes:
        folder: Where the method may leave its model; its own.
        seed: Of this cell.
        budget: Seconds that tuning may take.
        threads: How many threads it may use.
        chosen: What the same method's first seed chose; then nothing is tuned.
        options: What else the method needs to know: its name, where the service's data are.
        y, mask, open: float32 [S, T]; sales, where observed, where the store is open.
        hist, futr, stat: [S, T, Ch], [S, T, Cf], [S, Cs]; as in ``nas.data.panel.Panel``.
        open_name: Which of ``futr`` is 0 where the store is closed; None: never closed.
        promotions: Which of ``futr`` are promotions.
        first_day: Days from 1970 to the first day.
        validation: Origins that choose; everything before the first of them is for training.
        test: Origins that judge; everything before the first of them is for the refit.
    """

    folder: Path
    seed: int
    budget: float
    threads: int
    chosen: dict[str, Any] | None
    options: dict[str, Any]
    y: NDArray[np.float32]
    mask: NDArray[np.float32]
    open: NDArray[np.float32]
    hist: NDArray[np.float32]
    futr: NDArray[np.float32]
    stat: NDArray[np.int64]
    ids: list[str]
    hist_names: list[str]
    futr_names: list[str]
    stat_names: list[str]
    stat_vocab: list[list[str]]
    open_name: str | None
    promotions: list[int]
    first_day: int
    horizon: int
    validation: list[int]
    test: list[int]

    @classmethod
    def read(cls, folder: Path) -> Task:
        """Read ``task.json`` and the arrays that it names."""
        words = json.loads((folder / "task.json").read_text())
        with np.load(words.pop("series")) as arrays:
            return cls(folder=folder, **words, **{name: arrays[name] for name in ARRAYS})

    @property
    def saw_a_year(self) -> bool:
        """Whether training sees the time of year that it forecasts; else the month only tells the days apart."""
        return self.validation[0] >= A_YEAR_AND_MORE

    def dates(self, days: NDArray[np.int64] | range) -> NDArray[np.datetime64]:
        """Calendar days of positions on the time axis."""
        return (np.asarray(days, np.int64) + self.first_day).astype("datetime64[D]")

    def ahead(self, origins: list[int]) -> NDArray[np.int64]:
        """The days that are forecast, [O, H]."""
        return np.asarray(origins)[:, None] + np.arange(self.horizon)

    def closed_as_zero(self, forecast: NDArray[np.floating[Any]], origins: list[int]) -> NDArray[np.float32]:
        """Forecasts [O, S, H] as [O * S, H], never negative, 0 on closed days: the same courtesy for every method."""
        is_open = self.open[:, self.ahead(origins)].transpose(1, 0, 2)
        clean = np.where(is_open > 0, np.maximum(forecast, 0), 0)
        return clean.reshape(-1, self.horizon).astype(np.float32)

    def wape(self, forecast: NDArray[np.float32], origins: list[int]) -> float:
        """For tuning on the validation origins; the judging is done elsewhere."""
        days = self.ahead(origins)
        sales, seen = (a[:, days].transpose(1, 0, 2).reshape(-1, self.horizon) for a in (self.y, self.mask))
        return float((np.abs(forecast - sales) * seen).sum() / (sales * seen).sum())

    def write_store_table(self, days: int) -> None:
        """The nightly job's input before the last test origin: ``history.csv`` of so many days, ``future.csv``."""
        origin = self.test[-1]
        words = [[v[c - 1] if c else "" for v, c in zip(self.stat_vocab, row, strict=True)] for row in self.stat]
        with (self.folder / "history.csv").open("w", newline="") as file:
            past = csv.writer(file, lineterminator="\n")
            past.writerow(["unique_id", "ds", "y", *self.hist_names, *self.futr_names, *self.stat_names])
            for s, name in enumerate(self.ids):
                for t in range(max(0, origin - days), origin):
                    if self.mask[s, t]:
                        numbers = [self.y[s, t], *self.hist[s, t], *self.futr[s, t]]
                        past.writerow([name, self.dates(range(t, t + 1))[0], *map(_shortest, numbers), *words[s]])
        with (self.folder / "future.csv").open("w", newline="") as file:
            plan = csv.writer(file, lineterminator="\n")
            plan.writerow(["unique_id", "ds", *self.futr_names])
            for s, name in enumerate(self.ids):
                for t in range(origin, origin + self.horizon):
                    plan.writerow([name, self.dates(range(t, t + 1))[0], *map(_shortest, self.futr[s, t])])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method gives back.

    Attributes:
        validation: [O * S, H] in sales units, row ``o * S + s``; None where an earlier seed has tuned.
        test: Likewise, after the refit on everything before the test.
        tuning_seconds, fit_seconds: Wall clock; the latter of the refit alone.
        chosen: What tuning chose, as plain JSON; the other seeds take it over.
        size_kb: The model as it would be deployed.
        latency_ms: ``p50`` and ``p95`` of one series' forecast on one core with its features, and more if any.
        sweep: Command of the nightly job in a fresh process, run in the folder.
        series: Positions of the series that were forecast, where not all.
        forms: More accuracy of the same method: name -> test forecast, such as the smallest within 1 %.
        notes: For the reader of the report.
        curve: Learning curve: [steps or seconds, validation WAPE] pairs.
    """

    test: NDArray[np.float32]
    validation: NDArray[np.float32] | None = None
    tuning_seconds: float = 0.0
    fit_seconds: float = 0.0
    chosen: dict[str, Any] = field(default_factory=dict)
    size_kb: float | None = None
    latency_ms: dict[str, float] | None = None
    sweep: list[str] | None = None
    series: list[int] | None = None
    forms: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    curve: list[list[float]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write ``forecasts.npz``, then ``outcome.json``."""
        forecasts = {"test": self.test, **{f"form_{name}": values for name, values in self.forms.items()}}
        if self.validation is not None:
            forecasts["validation"] = self.validation
        np.savez(folder / "forecasts.npz", **forecasts)
        words = {name: value for name, value in asdict(self).items() if name not in ("test", "validation", "forms")}
        (folder / "outcome.json").write_text(json.dumps(words))


def _shortest(value: np.floating[Any]) -> str:
    return np.format_float_positional(np.float32(value), unique=True, trim="-")
