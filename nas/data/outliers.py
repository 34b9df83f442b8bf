"""Sales far from what their series usually sells at that place of the week: reported, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.data.check import Columns

FAR = 8.0
"""In robust standard deviations: 1.4826 times the median absolute deviation, and no less than a count's own noise."""
_ROWS = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Outliers:
    """Rows that are far off.

    Attributes:
        count: How many.
        largest: Positions of the farthest, in units of their series' spread.
        usual: The median of their place of the week.
    """

    count: int
    largest: NDArray[np.int64]
    usual: NDArray[np.float64]


def outliers(columns: Columns, listed: int = 5) -> Outliers:
    """Find them: each observation beside the median of its series at the same hour or day of the week."""
    starts = np.searchsorted(columns.series, np.arange(len(columns.ids) + 1))
    ends = np.unique(np.searchsorted(starts, np.arange(_ROWS, starts[-1] + _ROWS, _ROWS), "right"))
    count, far = 0, [(0.0, 0, 0.0)] * 0
    first = 0
    for end in np.maximum(ends, 1).tolist():
        last = int(starts[min(end, len(starts) - 1)])
        if last <= first:
            continue
        at = np.arange(first, last)
        at = at[columns.observed_at(at)]
        distance, usual = _distances(columns, at)
        off = np.flatnonzero(distance > FAR)
        count += len(off)
        top = off[np.argsort(-distance[off], kind="stable")[:listed]]
        far += [(float(distance[i]), int(at[i]), float(usual[i])) for i in top]
        far = sorted(far, key=lambda found: (-found[0], found[1]))[:listed]
        first = last
    return Outliers(count, np.array([f[1] for f in far], np.int64), np.array([f[2] for f in far]))


def _distances(columns: Columns, at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    season = columns.clock.season
    series = columns.series[at].astype(np.int64)
    first = int(series[0]) if len(series) else 0
    group = ((series - first) * season + columns.step[at] % season).astype(np.int64)
    y = columns.y[at]
    median = _medians(group, y)
    usual = median[group]
    spread = 1.4826 * _medians(group, np.abs(y - usual)).astype(np.float64)
    spread = np.maximum(spread, np.sqrt(np.maximum(median, 1)))
    return np.abs(y - usual) / spread[group], usual


def _medians(group: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of each group; the upper one of an even number.

    The bits of floats that are not negative sort as integers do, so one sort of integers sorts by group and value.
    """
    key = np.sort((group << 32) | np.ascontiguousarray(np.abs(values)).view(np.int32))
    counts = np.bincount(group)
    middle = np.cumsum(counts) - counts + counts // 2
    picked = key[np.minimum(middle, len(key) - 1)] if len(key) else np.zeros(0, np.int64)
    return (picked & 0xFFFFFFFF).astype(np.int32).view(np.float32)
