"""How sure a WAPE is: a bootstrap over the series, as a pair where two forecasts are compared.

Errors of one series are alike from day to day, those of different series much less so; therefore whole
series are drawn, with replacement (the cluster bootstrap; Davison & Hinkley, 1997, section 3.8), and bounds are the
percentiles of the draws (Efron & Tibshirani, 1993, chapter 13). Both forecasts of a pair meet the same
draws. The seed is fixed: the same forecasts always have the same interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.metrics import Floats

DRAWS = 1000
BOUNDS = (2.5, 97.5)
"""Percentiles: a 95 % interval."""
MIN_SERIES = 5
"""With fewer series, drawing among them says nothing about others: there is no interval then."""
_SEED = 20_240_229
_AT_ONCE = 4_000_000
"""Numbers drawn at a time, and turned into floats, which bounds the memory for many series."""


@dataclass(frozen=True, slots=True)
class Interval:
    """How forecast a compares with forecast b, with 95 % bounds; None where it cannot be told.

    Attributes:
        difference: WAPE(a) − WAPE(b), with bounds ``low`` and ``high``; negative: a is better.
        ratio: WAPE(a) / WAPE(b), with bounds ``ratio_low`` and ``ratio_high``.
        series: Series that sold something, over which was drawn.
    """

    difference: float | None
    low: float | None
    high: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    series: int

    @property
    def loss(self) -> float | None:
        """Accuracy loss, WAPE(a) / WAPE(b) − 1: the relative rise when b is given up for a."""
        return None if self.ratio is None else self.ratio - 1

    @property
    def apart(self) -> bool:
        """Whether the interval of the difference leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, ``loss`` among them."""
        return {**asdict(self), "loss": self.loss}


def paired(target: Floats, a: Floats, b: Floats, mask: Floats, series: NDArray[np.integer[Any]]) -> Interval:
    """Compare two point forecasts of the same targets.

    Args:
        target: float [B, horizon], sales units.
        a: float [B, horizon].
        b: float [B, horizon].
        mask: float [B, horizon]; 1 where a step is judged.
        series: int [B]; which series a row is of. Of ``evaluation``: ``np.arange(B) % len(panel.ids)``.
    """
    _, code = np.unique(series, return_inverse=True)
    judged = (mask > 0).astype(np.float64)
    known = target.astype(np.float64)
    rows = (np.abs(known) * judged, np.abs(a - known) * judged, np.abs(b - known) * judged)
    sales, of_a, of_b = (np.bincount(code, each.sum(axis=1)).astype(np.float64) for each in rows)
    return paired_sums(of_a, of_b, sales)


def paired_sums(a: NDArray[np.float64], b: NDArray[np.float64], sales: NDArray[np.float64]) -> Interval:
    """As :func:`paired`, of each series' summed absolute errors and sales, [S] each."""
    count = int((sales > 0).sum())
    total = float(sales.sum())
    if not total:
        return Interval(None, None, None, None, None, None, count)
    difference = float(a.sum() - b.sum()) / total
    ratio = float(a.sum() / b.sum()) if b.sum() else None
    if count < MIN_SERIES:
        return Interval(difference, None, None, ratio, None, None, count)
    of_a, of_b, of_sales = _resampled(np.stack([a, b, sales]))
    low, high = _percentiles(of_a - of_b, of_sales)
    ratio_low, ratio_high = _percentiles(of_a, of_b) if ratio is not None else (None, None)
    return Interval(difference, low, high, ratio, ratio_low, ratio_high, count)


def ratio_bounds(
    above: NDArray[np.float64], below: NDArray[np.float64]
) -> list[tuple[float | None, float | None] | None]:
    """Bounds of Σabove / Σbelow for each of G groups of series.

    Args:
        above: float64 [G, S], each series' part of the numerator (absolute errors, for WAPE).
        below: float64 [G, S], of the denominator (sales).

    Returns:
        Low and high for each group; None where fewer than ``MIN_SERIES`` series have a part in it.
    """
    groups = len(above)
    drawn = _resampled(np.concatenate([above, below]))
    return [
        _percentiles(drawn[g], drawn[groups + g]) if (below[g] > 0).sum() >= MIN_SERIES else None for g in range(groups)
    ]


def _resampled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The totals of [R, S] sums in each draw, [R, DRAWS]."""
    drawn = _draws(sums.shape[1])
    block = _block(sums.shape[1])
    parts = [sums @ drawn[first : first + block].T.astype(np.float64) for first in range(0, DRAWS, block)]
    return np.concatenate(parts, axis=1)


@lru_cache(maxsize=2)
def _draws(series: int) -> NDArray[np.uint8]:
    """How often each series was drawn, uint8 [DRAWS, S]: drawn once for all slices of a scorecard."""
    random = np.random.default_rng(_SEED)
    found = np.empty((DRAWS, series), np.uint8)
    for first in range(0, DRAWS, _block(series)):
        part = found[first : first + _block(series)]
        cells = random.integers(series, size=part.shape) + np.arange(len(part))[:, None] * series
        part[:] = np.bincount(cells.reshape(-1), minlength=part.size).reshape(part.shape)
    return found


def _block(series: int) -> int:
    return max(1, min(DRAWS, _AT_ONCE // series))


def _percentiles(above: NDArray[np.float64], below: NDArray[np.float64]) -> tuple[float | None, float | None]:
    known = below > 0
    if not known.any():
        return None, None
    low, high = np.percentile(above[known] / below[known], BOUNDS)
    return float(low), float(high)
