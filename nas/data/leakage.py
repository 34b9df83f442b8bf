"""Covariates that tell the sales too well: suspects, for a person to judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.data.check import Columns
    from nas.data.long_table import LongTable

LIMIT = 0.95
"""Within series, no plan is correlated so closely with what is sold."""
SHIFTS = range(-7, 8)
SERIES = 500
"""So many series are looked at, evenly spaced."""
_FEWEST = 10
"""Fewer pairs of numbers may be alike by chance."""


def suspects(table: LongTable, columns: Columns) -> Iterator[str]:
    """One sentence for each suspicious column."""
    rows = _sample(columns)
    series, step, y = columns.series[rows], columns.step[rows], columns.y[rows].astype(np.float64)
    unit = columns.clock.unit
    for name in (*table.hist, *table.planned):
        if name == columns.open or name not in columns.numbers:
            continue
        values = columns.numbers[name][rows].astype(np.float64)
        if len(y) >= _FEWEST and np.array_equal(values, y):
            yield f"column {name} is {table.keys.y} itself; leave it out under ignore"
            continue
        shifts = range(8) if name in table.hist else SHIFTS
        found = ((abs(_correlation(series, step, values, y, shift)), -abs(shift), shift) for shift in shifts)
        closest, _, shift = max(found)
        if closest > LIMIT:
            when = f"{abs(shift)} {unit}s {'later' if shift > 0 else 'before'}" if shift else f"the same {unit}"
            doubt = "is it no sum of the sales" if name in table.hist else "is it really known ahead"
            says = f"has a correlation of {closest:.3f} with {table.keys.y} of {when}"
            yield f"column {name} {says}; {doubt}? else leave it out under ignore"
    mean = np.bincount(series, y, len(columns.ids)) / np.maximum(np.bincount(series, minlength=len(columns.ids)), 1)
    sampled = np.unique(series)
    for name, words in columns.words.items():
        told = _numeric([words[place] for place in sampled.tolist()])
        if told is not None and (closest := abs(_pearson(told, mean[sampled]))) > LIMIT:
            yield (
                f"column {name} has a correlation of {closest:.3f} with the mean {table.keys.y} of its series; is it "
                "made from sales? then ignore it"
            )


def _sample(columns: Columns) -> NDArray[np.int64]:
    count = len(columns.ids)
    if count <= SERIES:
        return np.flatnonzero(columns.observed)
    chosen = np.unique(np.linspace(0, count - 1, SERIES).astype(np.int64))
    first, last = (np.searchsorted(columns.series, chosen, side) for side in ("left", "right"))
    rows = np.concatenate([np.arange(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)])
    return rows[columns.observed_at(rows)]


def _correlation(
    series: NDArray[np.int32], step: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64], shift: int
) -> float:
    """Of x and the y of ``shift`` steps later, within series."""
    ahead = abs(shift)
    here, there = slice(None, max(len(y) - ahead, 0)), slice(ahead, None)
    if shift < 0:
        here, there = there, here
    pairs = (series[here] == series[there]) & (step[there] - step[here] == shift)
    of = series[here][pairs]
    return _pearson(_centred(of, x[here][pairs]), _centred(of, y[there][pairs]))


def _centred(series: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(values):
        return values
    return values - (np.bincount(series, values) / np.maximum(np.bincount(series), 1))[series]


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """0 where one of the two hardly varies."""
    if len(x) < _FEWEST:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 1e-9 * len(x) and np.isfinite(scale) else 0.0


def _numeric(texts: list[str]) -> NDArray[np.float64] | None:
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return None
    return values if len(values) >= _FEWEST and np.isfinite(values).all() else None
