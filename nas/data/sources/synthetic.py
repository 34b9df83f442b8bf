"""Made-up sales from a known process: quick, offline, and the truth is known.

The expected units of a series are the product of

- its level, between ``levels[0]`` and ``levels[1]`` per step, evenly spaced on a log scale,
- a weekday factor, ``WEEKDAYS`` (Monday first), and for hourly series an hour factor, ``HOURS``,
- a factor of the year, ``1 + YEAR_SWING * sin(2π * day of year / 365.25)``,
- ``1 + LIFT`` in steps with a promotion.

The demand is Poisson distributed around it. Each series has its own promotion weeks, one in five. What is asked for
beyond that changes the process in one way each:

- ``closed``: daily series rest on Sundays, hourly ones at night as well, weekly ones in the week of Christmas;
- ``stockouts``: deliveries fail at random, for ``SHORT_RUN`` steps at a time, and leave a stock of at most ``STOCK``
  of the expected units: then ``min(demand, stock)`` is sold;
- ``levels=INTERMITTENT``: so slow that more than 60 % of the steps are without a sale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.data.long_table import LongTable
from nas.frequency import FREQUENCIES, FrequencyName
from nas.request import DataSpec

LEVELS = (5.0, 80.0)
INTERMITTENT = (0.1, 0.6)
WEEKDAYS = (0.8, 0.8, 0.9, 1.0, 1.2, 1.4, 0.9)
OPENING = (8, 20)
HOURS = tuple(1 + 0.6 * np.sin(2 * np.pi * (hour - 9) / 24) for hour in range(24))
YEAR_SWING = 0.3
LIFT = 0.6
PROMOTED_WEEKS = 0.2
STOCK = 0.5
SHORT_RUN = 3
START = "2022-01-03"  # a Monday
REGIONS = ("north", "south")
STEPS = {"hourly": 1680, "daily": 400, "weekly": 160}
_PANDAS = {"hourly": "h", "daily": "D", "weekly": "7D"}


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - the process needs no cache
    """12 series of ``STEPS[spec.freq]`` steps, of 400 days by default; see :func:`generate`."""
    return generate(days=STEPS[spec.freq or "daily"], frequency=spec.freq or "daily")


def generate(n_series: int = 12, days: int = 400, seed: int = 0, **ways: Any) -> LongTable:
    """Draw from the process; the same seed gives the same table. See :func:`generate_with_truth`."""
    return generate_with_truth(n_series, days, seed, **ways)[0]


def generate_with_truth(
    n_series: int = 12,
    steps: int = 400,
    seed: int = 0,
    *,
    frequency: FrequencyName = "daily",
    levels: tuple[float, float] = LEVELS,
    stockouts: float = 0.0,
    closed: bool = False,
) -> tuple[LongTable, NDArray[np.int64]]:
    """Draw from the process, and tell what was asked for as well as what was sold.

    Columns: ``discount`` (historic; the share of the price, only in steps with a promotion), ``promotion`` (known
    ahead; 0 or 1) and ``region`` (static); with ``closed`` also ``open``, with ``stockouts`` also ``available``: 0
    where more was asked for than there was.

    Args:
        n_series: How many series.
        steps: Length of each.
        seed: Of all that is drawn.
        frequency: What a step is.
        levels: Of the slowest and the quickest series, units per step.
        stockouts: Share of the steps in which a delivery is missing.
        closed: Whether there are steps in which the store is closed.

    Returns:
        The table, and the demand [n_series, steps] in the order of its series and steps.
    """
    random = np.random.default_rng(seed)
    times = pd.date_range(START, periods=steps, freq=_PANDAS[frequency])
    size = n_series, steps
    week = 168 // FREQUENCIES[frequency].hours
    weeks = random.random((n_series, -(-steps // week))) < PROMOTED_WEEKS
    promotion = np.repeat(weeks, week, axis=1)[:, :steps].astype(float)
    open_ = np.broadcast_to(_open(times, frequency) if closed else np.ones(steps), size)
    expected = np.geomspace(*levels, n_series)[:, None] * _season(times, frequency) * (1 + LIFT * promotion) * open_
    demand = random.poisson(expected)
    columns = {
        "unique_id": np.repeat([f"store-{number:02d}" for number in range(1, n_series + 1)], steps),
        "ds": np.tile(times.to_numpy(), n_series),
        "y": demand.ravel(),
        "discount": (promotion * random.uniform(0.1, 0.3, promotion.shape)).ravel(),
        "promotion": promotion.ravel(),
        "region": np.repeat([REGIONS[number % len(REGIONS)] for number in range(n_series)], steps),
    }
    if closed:
        columns["open"] = open_.ravel()
    if stockouts:
        missing = np.repeat(random.random((n_series, -(-steps // SHORT_RUN))) < stockouts, SHORT_RUN, axis=1)[:, :steps]
        stock = np.where(missing, np.floor(expected * random.uniform(0, STOCK, size)), np.inf)
        columns["y"] = np.minimum(demand, stock).astype(np.int64).ravel()
        columns["available"] = (demand <= stock).astype(float).ravel()
    table = LongTable(
        pd.DataFrame(columns),
        hist=("discount",),
        futr=("promotion", "open") if closed else ("promotion",),
        stat=("region",),
        open="open" if closed else None,
        available="available" if stockouts else None,
    )
    return table, demand


def _season(times: pd.DatetimeIndex, frequency: FrequencyName) -> NDArray[np.float64]:
    year: NDArray[np.float64] = 1 + YEAR_SWING * np.sin(2 * np.pi * times.day_of_year.to_numpy() / 365.25)
    if frequency == "weekly":
        return year
    year *= np.array(WEEKDAYS)[times.day_of_week]
    return year * np.array(HOURS)[times.hour] if frequency == "hourly" else year


def _open(times: pd.DatetimeIndex, frequency: FrequencyName) -> NDArray[np.float64]:
    if frequency == "weekly":
        christmas = (times.month == 12) & (times.day >= 19) & (times.day <= 25)  # a week from its Monday on
        return np.where(christmas, 0.0, 1.0)
    works = times.day_of_week != 6
    if frequency == "hourly":
        works &= (times.hour >= OPENING[0]) & (times.hour < OPENING[1])
    return np.where(works, 1.0, 0.0)
