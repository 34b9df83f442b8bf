"""Two forecasts that need no learning: what a model must beat to be worth a device.

Both look only at the observed steps of the past, and return float32 [B, horizon] in sales units; a
series without an observed past is forecast as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel
from nas.data.windows import Windows, evaluation
from nas.frequency import DAILY, Frequency

SEASONS = 8
"""Means are taken over at most so many of the latest weeks."""


def seasonal_naive(windows: Windows, clock: Frequency = DAILY) -> NDArray[np.float32]:
    """The latest observed week again and again: each step as it was when last observed at that place of the week.

    Weekly series have a longer season: last year's week where it was observed, else the last observed one.
    """
    sales, mask = _seasons(windows, clock)
    latest = np.argmax(mask[:, ::-1], axis=1)[:, None]  # seasons back to the latest observed one, by place in it
    again = _repeat(np.take_along_axis(sales[:, ::-1], latest, axis=1)[:, 0], windows)
    if clock.season > 1 or windows.past_mask.shape[1] < clock.year:
        return again
    ago = windows.past_mask.shape[1] - clock.year + np.arange(windows.target.shape[1]) % clock.year
    return np.where(windows.past_mask[:, ago] > 0, windows.past[:, ago, 0], again).astype(np.float32)


def day_of_week_mean(windows: Windows, clock: Frequency = DAILY) -> NDArray[np.float32]:
    """Each step as the mean of its place in the week over the observed steps of the last eight weeks."""
    sales, mask = _seasons(windows, clock)
    total, count = sales[:, -SEASONS:].sum(axis=1), mask[:, -SEASONS:].sum(axis=1)
    return _repeat(total / np.maximum(count, 1), windows)


BASELINES: dict[str, Callable[[Windows, Frequency], NDArray[np.float32]]] = {
    "seasonal_naive": seasonal_naive,
    "day_of_week_mean": day_of_week_mean,
}


def baseline_forecasts(
    panel: Panel, origins: Sequence[int], horizon: int, shorten: Callable[[Windows], Windows] = lambda windows: windows
) -> dict[str, NDArray[np.float32]]:
    """What each baseline forecasts for all series at all origins, in the order of ``evaluation``.

    They know where a store is closed: closed steps of the past count as not observed, those ahead are
    forecast as 0. How far they look back does not depend on any model's window.

    Args:
        panel: The data.
        origins: First steps that are forecast.
        horizon: Steps of forecast.
        shorten: Takes away from the past what is not to be known.
    """
    clock = panel.clock
    length = max(SEASONS * clock.season, clock.year if clock.season == 1 else 0)
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in BASELINES}
    for origin in origins:  # one at a time: eight weeks of hours at sixty origins are gigabytes
        windows = shorten(evaluation(panel, [origin], length, horizon))
        ahead = np.ones((1, 1), np.float32)
        if panel.open is not None:
            column = panel.futr_names.index(panel.open)
            past = windows.past[..., 1 + len(panel.hist_names) + column] > 0
            windows = replace(windows, past_mask=windows.past_mask * past)
            ahead = (windows.future[..., column] > 0).astype(np.float32)
        for name, baseline in BASELINES.items():
            found[name].append(baseline(windows, clock) * ahead)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _seasons(windows: Windows, clock: Frequency) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sales and mask as [B, seasons, season], counted back from the origin; an older rest is left out."""
    batch, steps = windows.past_mask.shape
    whole = steps - steps % clock.season
    shape = batch, whole // clock.season, clock.season
    mask = windows.past_mask[:, steps - whole :]
    return (windows.past[:, steps - whole :, 0] * mask).reshape(shape), mask.reshape(shape)


def _repeat(season: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """Lay one season [B, season] over the horizon."""
    return season[:, np.arange(windows.target.shape[1]) % season.shape[1]].astype(np.float32)
