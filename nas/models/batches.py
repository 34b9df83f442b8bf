"""Training windows at the speed of memory: every window is one stretch of a padded copy of the panel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.panel import Panel
from nas.data.windows import training_pairs
from nas.models.forecaster import Inputs

UNSEEN = 0.02
"""Share of rows whose static ids are hidden in training, so that a new store's id 0 means something."""
SHORT = 0.05
"""Share of rows that lose a random part of their history, so that a new series does."""


class Batch(NamedTuple):
    """Inputs, targets ``[batch, horizon]`` with their mask, and which series and origin each row is of."""

    inputs: Inputs
    target: Tensor
    mask: Tensor
    series: NDArray[np.int64]
    origin: NDArray[np.int64]

    def to(self, place: torch.device) -> Batch:
        """The same batch on a device."""
        inputs = Inputs(*(tensor.to(place) for tensor in self.inputs))
        return self._replace(inputs=inputs, target=self.target.to(place), mask=self.mask.to(place))


class Batches:
    """Random training windows of a panel, without end; the same seed gives the same batches.

    The sampled windows are those of ``nas.data.windows.sample``; hidden ids and shortened histories come on top.

    Args:
        horizon: Steps of a target.
        end: Targets end before this step.
        window: Steps of past.
        size: Rows of a batch.

    Raises:
        DataError: No window may be used for training.
    """

    def __init__(self, panel: Panel, horizon: int, end: int, window: int, size: int, seed: int) -> None:
        self._panel, self._window, self._horizon, self._size = panel, window, horizon, size
        self._draw = np.random.default_rng(seed)
        self._pairs = training_pairs(panel, horizon, end, window)
        steps, historic = panel.steps, 1 + len(panel.hist_names)
        channels = historic + len(panel.futr_names)
        padded = np.zeros((len(panel.ids), window + steps, channels + 1), np.float32)
        padded[:, window:, 0] = panel.y * panel.mask
        padded[:, window:, 1:historic] = panel.hist * panel.mask[..., None]
        padded[:, window:, historic:channels] = panel.futr
        padded[:, window:, channels] = panel.mask
        self._views = np.lib.stride_tricks.sliding_window_view(padded, window + horizon, axis=1)
        self._historic, self._channels = historic, channels

    def draw(self) -> Batch:
        """The next batch."""
        series_of, origin_of = self._pairs
        chosen = self._draw.integers(0, len(series_of), self._size)
        series, origin = series_of[chosen], origin_of[chosen]
        static = self._panel.stat[series]
        static[self._draw.random(self._size) < UNSEEN] = 0
        return self._batch(series, origin, static, self._kept())

    def _kept(self) -> NDArray[np.float32]:
        """1 where a row may look back, ``[batch, window]``."""
        ages = np.arange(self._window, 0, -1)
        lengths = np.where(
            self._draw.random(self._size) < SHORT, self._draw.integers(0, self._window, self._size), self._window
        )
        return (ages <= lengths[:, None]).astype(np.float32)

    def _batch(
        self,
        series: NDArray[np.int64],
        origin: NDArray[np.int64],
        static: NDArray[np.int64],
        kept: NDArray[np.float32],
    ) -> Batch:
        window, clock = self._window, self._panel.clock
        cut = torch.from_numpy(self._views[series, origin].transpose(0, 2, 1).copy())
        past, mask, look = cut[:, :window, : self._channels], cut[:, :, self._channels], torch.from_numpy(kept)
        hours = self._panel.hour(0) + (origin[:, None] + np.arange(-window, self._horizon)) * clock.hours
        time = torch.from_numpy(hours)
        seen = past[:, :, : self._historic] * look.unsqueeze(-1)
        inputs = Inputs(
            torch.cat([seen, past[:, :, self._historic :]], -1),
            mask[:, :window] * look,
            time[:, :window],
            cut[:, window:, self._historic : self._channels],
            time[:, window:],
            torch.from_numpy(static),
        )
        return Batch(inputs, cut[:, window:, 0], mask[:, window:], series, origin)
