"""Windows: what a model is given and what it is judged by, cut out of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel
from nas.data.split import MIN_PAST
from nas.errors import DataError, RequestError

INPUTS = ("past", "past_mask", "past_time", "future", "future_time", "static")
"""The model's inputs in the order of the contract, the same in every runtime."""


@dataclass(frozen=True, eq=False, slots=True)
class Windows:
    """B forecasts' inputs and targets in natural units (sales units, hours): the model's contract.

    Attributes:
        past: float32 [B, window, 1 + Ch + Cf]; channel 0 is y, then historic, then future-known
            covariates. y and the historic ones are 0 where ``past_mask`` is 0.
        past_mask: float32 [B, window]; 1 where the step was observed and the article available.
        past_time: int64 [B, window]; hours since 1970-01-01 00:00 in the store's own time.
        future: float32 [B, horizon, Cf]; the future-known covariates.
        future_time: int64 [B, horizon]; hours as in ``past_time``.
        static: int64 [B, Cs]; codes of the static covariates, 0 = unseen.
        target: float32 [B, horizon]; what was sold, 0 where not observed.
        target_mask: float32 [B, horizon]; 1 where the target was observed; a censored sale is none.
    """

    past: NDArray[np.float32]
    past_mask: NDArray[np.float32]
    past_time: NDArray[np.int64]
    future: NDArray[np.float32]
    future_time: NDArray[np.int64]
    static: NDArray[np.int64]
    target: NDArray[np.float32]
    target_mask: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.past.shape[0])

    def inputs(self) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
        """The arrays that a model may see, by name, in the order of the contract."""
        return {name: getattr(self, name) for name in INPUTS}


def sample(
    panel: Panel, series_index: NDArray[np.int64], origin: NDArray[np.int64], window: int, horizon: int
) -> Windows:
    """Cut one window per (series, origin) pair.

    Steps before the calendar's first are masked. A panel may hold steps that are not observed yet
    (mask 0) to carry future-known covariates; then an origin may be the first of these.

    Args:
        panel: The data.
        series_index: int64 [B], positions in ``panel.ids``.
        origin: int64 [B], indices of the first step that is forecast.
        window: Steps of past.
        horizon: Steps of forecast.

    Raises:
        RequestError: A forecast reaches outside the calendar.
    """
    series, first = np.asarray(series_index, np.int64)[:, None], np.asarray(origin, np.int64)[:, None]
    if first.size and not 0 <= first.min() <= first.max() <= panel.steps - horizon:
        raise RequestError(
            f"Forecasts of {horizon} steps from step {first.min()} to {first.max()} do not fit in a panel of "
            f"{panel.steps} steps; expected origins from 0 to {panel.steps - horizon}: choose others."
        )
    before, ahead = first + np.arange(-window, 0), first + np.arange(horizon)
    hours, step = panel.hour(0), panel.clock.hours
    past, past_mask = _past(panel, series, before)
    target_mask = panel.mask[series, ahead]
    return Windows(
        past=past,
        past_mask=past_mask,
        past_time=before * step + hours,
        future=panel.futr[series, ahead],
        future_time=ahead * step + hours,
        static=panel.stat[series[:, 0]],
        target=panel.y[series, ahead] * target_mask,
        target_mask=target_mask,
    )


def _past(
    panel: Panel, series: NDArray[np.int64], days: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    inside, days = (days >= 0).astype(np.float32), np.maximum(days, 0)
    mask = panel.mask[series, days] * inside
    historic = 1 + len(panel.hist_names)
    past = np.empty((*days.shape, historic + len(panel.futr_names)), np.float32)
    past[..., 0] = panel.y[series, days] * mask
    past[..., 1:historic] = panel.hist[series, days] * mask[..., None]
    past[..., historic:] = panel.futr[series, days] * inside[..., None]
    return past, mask


def training_pairs(panel: Panel, horizon: int, end: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every (series, origin) that training may use, series by series.

    The target ends before step ``end`` and at least half of it is observed (what is not has no
    part in the loss); at least ``MIN_PAST`` steps of the window are observed (a shorter window whole).

    Returns:
        series_index and origin, int64 [N] each, as :func:`sample` takes them.

    Raises:
        DataError: No pair is left.
    """
    origins = np.arange(end - horizon + 1)
    observed = np.pad(panel.mask.cumsum(axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    past = observed[:, origins] - observed[:, np.maximum(origins - window, 0)]
    target = observed[:, origins + horizon] - observed[:, origins]
    series_index, origin = np.nonzero((past >= min(MIN_PAST, window)) & (2 * target >= horizon))
    if not len(origin):
        raise DataError(
            f"No series has {min(MIN_PAST, window)} observed steps followed by {horizon} more before "
            f"{panel.date(end)}, where training ends; give longer histories or shorten the split."
        )
    return series_index.astype(np.int64), origin.astype(np.int64)


def evaluation(panel: Panel, origins: Sequence[int], window: int, horizon: int) -> Windows:
    """All series at all origins; row ``o * S + s`` is series ``s`` at ``origins[o]``.

    Raises:
        RequestError: A forecast reaches outside the calendar.
    """
    origin = np.repeat(np.asarray(origins, np.int64), len(panel.ids))
    series_index = np.tile(np.arange(len(panel.ids)), len(origins))
    return sample(panel, series_index, origin, window, horizon)
