"""Made-up sales from a known process: quick, offline, and the truth is known.

The expected units of a series are the product of

- its level, between ``LEVELS[0]`` and ``LEVELS[1]`` per day, evenly spaced on a log scale,
- a weekday factor, ``WEEKDAYS`` (Monday first),
- a factor of the year, ``1 + YEAR_SWING * sin(2π * day of year / 365.25)``,
- ``1 + LIFT`` on days with a promotion.

Units are Poisson distributed around it. Each series has its own promotion weeks, one in five.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nas.data.long_table import LongTable
from nas.request import DataSpec

LEVELS = (5.0, 80.0)
WEEKDAYS = (0.8, 0.8, 0.9, 1.0, 1.2, 1.4, 0.9)
YEAR_SWING = 0.3
LIFT = 0.6
PROMOTED_WEEKS = 0.2
START = "2022-01-03"  # a Monday
REGIONS = ("north", "south")


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - neither changes this table
    """12 series of 400 days; see :func:`generate`."""
    return generate()


def generate(n_series: int = 12, days: int = 400, seed: int = 0) -> LongTable:
    """Draw from the process; the same seed gives the same table.

    Columns: ``discount`` (historic; the share of the price, only on promotion days), ``promotion``
    (known ahead; 0 or 1) and ``region`` (static).
    """
    random = np.random.default_rng(seed)
    dates = pd.date_range(START, periods=days)
    level = np.geomspace(*LEVELS, n_series)[:, None]
    weekday = np.array(WEEKDAYS)[dates.day_of_week]
    year = 1 + YEAR_SWING * np.sin(2 * np.pi * dates.day_of_year.to_numpy() / 365.25)
    weeks = random.random((n_series, -(-days // 7))) < PROMOTED_WEEKS
    promotion = np.repeat(weeks, 7, axis=1)[:, :days].astype(float)
    units = random.poisson(level * weekday * year * (1 + LIFT * promotion))
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"store-{number:02d}" for number in range(1, n_series + 1)], days),
            "ds": np.tile(dates.to_numpy(), n_series),
            "y": units.ravel(),
            "discount": (promotion * random.uniform(0.1, 0.3, promotion.shape)).ravel(),
            "promotion": promotion.ravel(),
            "region": np.repeat([REGIONS[number % len(REGIONS)] for number in range(n_series)], days),
        }
    )
    return LongTable(frame, hist=("discount",), futr=("promotion",), stat=("region",))
