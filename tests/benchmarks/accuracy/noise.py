"""How accurate a forecast could be at all: the noise floor of counts, from a smoothed oracle.

The oracle knows each test day's true rate nearly: it smooths the series itself, days after the test origin included,
leaving the day itself out. What is left is the scatter of counts about their rate. With Poisson counts that is exact;
real baskets hold several pieces, so that the scatter is larger by a dispersion that is estimated from the residuals.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel

BANDWIDTH = 14
"""Days to each side; a weekday's rate is the smoothed level times the weekday's share over the year."""


def floor(panel: Panel, first: int) -> dict[str, float]:
    """Over the days from ``first``: the WAPE of the oracle, of Poisson counts, and of counts as scattered as these.

    Returns:
        ``oracle_wape``, ``poisson_wape``, ``dispersed_wape``, ``dispersion`` (variance over mean, volume-weighted).
    """
    y, seen = panel.y.astype(np.float64), (panel.mask > 0) & panel.is_open
    rate = _oracle(y, seen)
    days = np.zeros(y.shape, bool)
    days[:, first:] = True
    days &= seen & (rate > 0)
    sales = y[days].sum()
    pearson = np.where(seen & (rate > 0), (y - rate) ** 2 / np.maximum(rate, 1e-9), np.nan)
    dispersion = np.maximum(1.0, np.nanmean(pearson, axis=1))
    scattered = np.sqrt(2 * dispersion[:, None] * rate / np.pi)
    return {
        "oracle_wape": float(np.abs(y - rate)[days].sum() / sales),
        "poisson_wape": float(sum(_mean_deviation(m) for m in rate[days]) / sales),
        "dispersed_wape": float(np.minimum(scattered, 2 * rate)[days].sum() / sales),
        "dispersion": float(np.average(dispersion, weights=y.sum(1))),
    }


def _oracle(y: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Each day's rate from the days around it, without that day, [S, T]."""
    weekday = np.arange(y.shape[1]) % 7
    level = y.sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
    share = np.zeros_like(y)
    for w in range(7):
        on = weekday == w
        share[:, on] = y[:, on].sum(1, keepdims=True) / np.maximum(seen[:, on].sum(1, keepdims=True), 1)
    share /= np.maximum(level, 1e-9)
    usual = share * seen
    above, below = (_around(values * seen) for values in (y, usual))
    return np.where(below > 0, above / np.maximum(below, 1e-9), 0.0) * usual


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the days to each side, the day itself left out."""
    total = np.pad(values.cumsum(1), ((0, 0), (1, 0)))
    day = np.arange(values.shape[1])
    low, high = np.maximum(day - BANDWIDTH, 0), np.minimum(day + BANDWIDTH + 1, values.shape[1])
    return total[:, high] - total[:, low] - values


def _mean_deviation(rate: float) -> float:
    """E|Y − m| of Poisson counts about their mean: 2 e^−λ λ^(⌊λ⌋+1) / ⌊λ⌋!."""
    below = math.floor(rate)
    return 2 * math.exp(-rate + (below + 1) * math.log(rate) - math.lgamma(below + 1))
