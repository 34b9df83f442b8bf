"""Distillation: a small student learns from what was sold and from what a larger teacher forecast.

The loss of a student is ``(1 - alpha) * L(student, sales) + alpha * L(student, teacher)`` on the training origins:
Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015), section 2, carried over from soft
class probabilities to the absolute error of a regression as in Chen et al., "Learning Efficient Object Detection
Models with Knowledge Distillation" (2017), section 3.3. A teacher's quantiles take the part of the soft probabilities:
they say how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.forecasts import POINT, Forecasts

Told = tuple[Tensor, Tensor]
"""What a teacher says of one batch: values [B, horizon] or [B, horizon, Q], NaN where unknown, and weight [B]."""


class TeacherSignal(Protocol):
    """What a training asks of a teacher."""

    def covers(self, series: NDArray[np.int64], origin: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether there is a forecast of each (series, origin) pair, bool [N]."""

    def forecast(
        self, series: NDArray[np.int64], origin: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The teacher's forecasts of these pairs.

        Returns:
            Values in sales units, float32 [B, horizon], or [B, horizon, Q] for a student of Q quantiles; NaN where
            unknown. And the teacher's share of the loss, float32 [B], from 0 to 1; the rest is the sales'.
        """


@dataclass(frozen=True, eq=False, slots=True)
class Signal:
    """Forecasts as a training hears them.

    Attributes:
        forecasts: The teacher's, of the training origins.
        levels: Quantiles of the student; none: its point forecast alone.
        alpha: The teacher's share of the loss.
        in_sample: How much an in-sample forecast counts beside one out of sample, from 0 to 1: one that saw the
            sales it forecasts may only repeat them.
    """

    forecasts: Forecasts
    levels: tuple[float, ...]
    alpha: float
    in_sample: float

    def muted(self) -> Self:
        """The same pairs without the teacher's word: what a student without a teacher learns from."""
        return replace(self, alpha=0.0)

    def covers(self, series: NDArray[np.int64], origin: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self.forecasts.find(series, origin) >= 0

    def forecast(
        self, series: NDArray[np.int64], origin: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        place, known = self.forecasts.find(series, origin), self.forecasts.levels
        found = self.forecasts.at(series, origin)
        weight = np.zeros(len(place), np.float32)
        there = place >= 0
        weight[there] = self.alpha * np.where(self.forecasts.in_sample[place[there]], self.in_sample, 1.0)
        if not self.levels:
            return found[..., known.index(POINT)], weight
        values = np.full((*found.shape[:2], len(self.levels)), np.nan, np.float32)
        for i, level in enumerate(self.levels):
            if level in known:
                values[..., i] = found[..., known.index(level)]
        return values, weight


def told(teacher: TeacherSignal, series: NDArray[np.int64], origin: NDArray[np.int64]) -> Told:
    """What the teacher says of these pairs, as tensors."""
    values, weight = teacher.forecast(series, origin)
    return torch.from_numpy(values), torch.from_numpy(weight)


def away(forecast: Tensor, values: Tensor) -> Tensor:
    """The student's forecast minus the teacher's; NaN where the teacher said nothing, and no gradient from there."""
    known = torch.isfinite(values)
    return torch.where(known, forecast - torch.where(known, values, 0.0), torch.nan)


def blended(errors: Tensor, apart: Tensor, share: Tensor) -> Tensor:
    """The errors against the sales and those against the teacher in one, step by step.

    Args:
        errors: ``[B, horizon]``, the student's against what was sold.
        apart: ``[B, horizon, Q]``, the student's against the teacher; NaN where the teacher said nothing.
        share: ``[B]``, the teacher's.

    Returns:
        ``[B, horizon]``. Where the teacher said nothing, the sales count alone; of quantiles, those that it knows.
    """
    known = torch.isfinite(apart)
    mean = torch.where(known, apart, 0.0).sum(-1) / known.sum(-1).clamp(min=1)
    heard = share.unsqueeze(1) * known.any(-1)
    return (1 - heard) * errors + heard * mean
