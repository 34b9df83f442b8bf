"""Two forecasts that need no learning: what a model must beat to be worth a device.

Both take windows of at least a week, look only at the observed days of the past, and return
float32 [B, horizon] in sales units; a series without an observed past is forecast as 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas.data.windows import Windows

WEEKS = 8
"""The mean of each weekday is taken over at most so many of the latest weeks."""


def seasonal_naive(windows: Windows) -> NDArray[np.float32]:
    """The latest observed week again and again: each day as its weekday was when last observed."""
    sales, mask = _weeks(windows)
    latest = np.argmax(mask[:, ::-1], axis=1)[:, None]  # weeks back to the latest observed one, by weekday
    week = np.take_along_axis(sales[:, ::-1], latest, axis=1)[:, 0]
    return _repeat(week, windows)


def day_of_week_mean(windows: Windows) -> NDArray[np.float32]:
    """Each day as the mean of its weekday over the observed days of the last eight weeks."""
    sales, mask = _weeks(windows)
    total, count = sales[:, -WEEKS:].sum(axis=1), mask[:, -WEEKS:].sum(axis=1)
    return _repeat(total / np.maximum(count, 1), windows)


BASELINES: dict[str, Callable[[Windows], NDArray[np.float32]]] = {
    "seasonal_naive": seasonal_naive,
    "day_of_week_mean": day_of_week_mean,
}


def _weeks(windows: Windows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sales and mask as [B, weeks, 7], counted back from the origin; an older rest is left out."""
    batch, days = windows.past_mask.shape
    whole = days - days % 7
    shape = batch, whole // 7, 7
    mask = windows.past_mask[:, days - whole :]
    return (windows.past[:, days - whole :, 0] * mask).reshape(shape), mask.reshape(shape)


def _repeat(week: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """Lay one week [B, 7] over the horizon."""
    return week[:, np.arange(windows.target.shape[1]) % 7].astype(np.float32)
