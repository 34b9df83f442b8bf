"""How wrong a forecast is. Sums run in float64 over the days that were observed.

Every function takes ``target``, ``forecast`` and ``mask`` of one common shape, usually
[B, horizon], in sales units, and returns None where there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Accuracy = Mapping[str, float | None]


def accuracy(target: Floats, forecast: Floats, mask: Floats | None = None) -> dict[str, float | None]:
    """All four metrics by name: wape, mae, rmse, bias."""
    return {metric.__name__: metric(target, forecast, mask) for metric in (wape, mae, rmse, bias)}


def wape(target: Floats, forecast: Floats, mask: Floats | None = None) -> float | None:
    """Weighted absolute percentage error, Σ|ŷ − y| / Σ|y|; None when nothing was sold."""
    sales, error = _judged(target, forecast, mask)
    return _ratio(np.abs(error).sum(), np.abs(sales).sum())


def mae(target: Floats, forecast: Floats, mask: Floats | None = None) -> float | None:
    """Mean absolute error in sales units per day."""
    _, error = _judged(target, forecast, mask)
    return _ratio(np.abs(error).sum(), error.size)


def rmse(target: Floats, forecast: Floats, mask: Floats | None = None) -> float | None:
    """Root of the mean squared error in sales units per day."""
    _, error = _judged(target, forecast, mask)
    mean = _ratio(np.square(error).sum(), error.size)
    return None if mean is None else mean**0.5


def bias(target: Floats, forecast: Floats, mask: Floats | None = None) -> float | None:
    """Relative bias, Σ(ŷ − y) / Σy; positive when too much was forecast, None when nothing was sold."""
    sales, error = _judged(target, forecast, mask)
    return _ratio(error.sum(), sales.sum())


def _judged(target: Floats, forecast: Floats, mask: Floats | None) -> tuple[Floats, Floats]:
    chosen = np.ones(target.shape, bool) if mask is None else mask > 0
    sales = target[chosen].astype(np.float64)
    return sales, forecast[chosen].astype(np.float64) - sales


def _ratio(above: Any, below: Any) -> float | None:
    return float(above / below) if below else None
