"""Panels of every frequency, with closed days, holidays, promotions and censored sales, for the tests of packages."""

import numpy as np

from nas.data.panel import Panel
from nas.data.split import Split
from nas.frequency import FREQUENCIES
from nas.request import DataSpec

LENGTHS = {"hourly": (1200, 24, 336), "daily": (160, 14, 35), "weekly": (80, 4, 12)}
STARTS = {"hourly": "2023-09-11T00", "daily": "2023-09-06", "weekly": "2023-01-02"}
GERMAN = DataSpec(source="table", path="sales.csv", available="stock", holidays="DE", timezone="Europe/Berlin")


def sales(frequency="daily", series=3, stores=("north", "south"), seed=0):
    """Sales of some articles in some stores; a holiday column that is filled in as the calendar says."""
    steps, clock = LENGTHS[frequency][0], FREQUENCIES[frequency]
    draw, size = np.random.default_rng(seed), (series, steps)
    days = (np.datetime64(STARTS[frequency], "h") + np.arange(steps) * clock.hours).astype("datetime64[D]")
    holidays = [_is_holiday(days + k) for k in range(clock.hours // 24 or 1)]
    futr = np.zeros((*size, 3), "float32")
    futr[..., 0] = draw.random(size) < 0.2
    futr[..., 1] = np.any(holidays, axis=0)
    futr[..., 2] = (np.arange(steps) % clock.season != clock.season - 1) | (clock.season == 1)
    mask = np.ones(size, "float32")
    mask[0, -60:-57] = 0  # out of stock, with its plans
    mask[2, : steps // 2] = 0  # a late one
    futr[2, : steps // 2] = 0
    sold = draw.poisson(6, size) * (1 + futr[..., 0]) * futr[..., 2] * mask
    store = draw.permutation(np.arange(series) % len(stores)) + 1
    article = np.arange(series) % 4 + 1
    return Panel(
        ids=tuple(f"article-{s:02d}" for s in range(series)),
        start=np.datetime64(STARTS[frequency], "h"),
        y=sold.astype("float32"),
        mask=mask,
        hist=(draw.random((*size, 1)) * mask[..., None]).astype("float32"),
        hist_names=("discount",),
        futr=futr,
        futr_names=("promo", "holiday", "open"),
        stat=np.stack([store, article], axis=1).astype("int64"),
        stat_names=("store", "article"),
        stat_vocab=(tuple(stores), ("bread", "milk", "rice", "tea")),
        frequency=frequency,
        open="open",
    )


def split_of(panel):
    _, horizon, part = LENGTHS[panel.frequency]
    return Split.of(panel, horizon, part, part)


def _is_holiday(days):
    """The German ones of these months, from the law and not from the package."""
    dates = ("2023-10-03", "2023-12-25", "2023-12-26", "2024-01-01", "2024-03-29", "2024-04-01", "2024-05-01")
    more = ("2023-04-07", "2023-04-10", "2023-05-01", "2023-05-18", "2023-05-29", "2024-05-09", "2024-05-20")
    return np.isin(days, np.array([*dates, *more, "2023-01-01"], "datetime64[D]"))
