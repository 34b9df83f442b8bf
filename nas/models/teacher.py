"""A teacher that was trained here: one large network, or several whose forecasts are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.data.forecasts import POINT, Forecasts
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import sample, training_pairs
from nas.models.forecaster import Forecaster, Inputs
from nas.models.shape import Shape
from nas.models.training import predict, restore

ROWS = 1024
"""Windows that are cut and forecast at a time."""


class Ensemble(Forecaster):
    """The mean of several networks of one architecture: of each quantile, the mean of theirs.

    It is a forecaster like any other: exported, measured and run as one model.
    """

    def __init__(self, members: Sequence[Forecaster]) -> None:
        nn.Module.__init__(self)
        self.architecture, self.shape = members[0].architecture, members[0].shape
        self.logarithmic = members[0].logarithmic
        self.members = nn.ModuleList(members)

    def raw(self, inputs: Inputs) -> Tensor:
        """The members' mean before the clamp at zero: of logarithms, where they forecast logarithms."""
        said = [cast("Forecaster", member).raw(inputs) for member in self.members]
        return torch.stack(said).mean(0)


def assembled(architecture: Architecture, shape: Shape, weights: Sequence[bytes]) -> Forecaster:
    """One forecaster of all members' weights (safetensors).

    Raises:
        CandidateFault: The weights belong to another architecture.
    """
    members = [restore(architecture, shape, each) for each in weights]
    return Ensemble(members).eval() if len(members) > 1 else members[0]


def foresee(model: Forecaster, panel: Panel, split: Split, *, most: int, seed: int) -> Forecasts:
    """What a teacher says of the training origins, and of those of validation and test.

    All of its training forecasts are in-sample; it was stopped by its validation error, so that they are no mere
    memory of the sales.

    Args:
        most: At most so many of the training pairs are forecast, drawn at random; a large teacher is slow.
        seed: Of that draw.
    """
    window, shape = model.architecture.window, model.shape
    series, origin = training_pairs(panel, split.horizon, split.train_end, window)
    if len(series) > most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(series), most, replace=False))
        series, origin = series[drawn], origin[drawn]
    later = np.asarray((*split.validation_origins, *split.test_origins), np.int64)
    everyone = np.arange(len(panel.ids))
    series = np.concatenate([series, np.repeat(everyone, len(later))])
    origin = np.concatenate([origin, np.tile(later, len(everyone))])
    order = np.lexsort((origin, series))
    series, origin = series[order], origin[order]
    values = [
        predict(model, sample(panel, series[first : first + ROWS], origin[first : first + ROWS], window, split.horizon))
        for first in range(0, len(series), ROWS)
    ]
    found = np.concatenate(values)
    return Forecasts(
        panel=panel.digest,
        steps=panel.steps,
        levels=shape.quantiles or (POINT,),
        series=series.astype(np.int32),
        origin=origin.astype(np.int32),
        values=found.reshape(*found.shape[:2], -1),
        in_sample=origin < split.train_end,
    )
