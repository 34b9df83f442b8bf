"""The door to whatever trains: export a candidate, train and score a candidate.

The real one sends both to the cluster; ``nas.search.fake`` answers at once by a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.cluster import Cluster
from nas.data.drawings import Drawing, drawings
from nas.data.metrics import point
from nas.data.panel import Panel
from nas.data.scorecard import Scorecard, score, series_errors
from nas.data.split import Split
from nas.data.windows import Windows, evaluation
from nas.export.artifact import Artifact
from nas.export.onnx import forecast
from nas.export.targets import export, export_untrained
from nas.models.shape import Shape
from nas.models.training import predict, restore, train
from nas.request import Training


@dataclass(frozen=True, slots=True)
class Learned:
    """What training found: the weights (safetensors) and how they came to be."""

    weights: bytes
    training: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained candidate and its score on the validation weeks."""

    learned: Learned
    scorecard: Scorecard


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """An exported model on one part of the split.

    Attributes:
        card: Its scorecard.
        errors: Summed absolute errors and sales of each series, float64 [2, S]: what it is compared with others by.
        drawings: Some series at the newest origin.
    """

    card: Scorecard
    errors: NDArray[np.float64]
    drawings: tuple[Drawing, ...]


class Trainer(Protocol):
    """Two verbs; both may be called from several threads at once."""

    def export(self, architecture: Architecture) -> Artifact:
        """Export with random weights, to be measured."""

    def train(self, architecture: Architecture, budget: Training, seed: int, known: Learned | None) -> Trained:
        """Train until early stopping and score on the validation weeks.

        Args:
            known: What an earlier trial of the same network learned; then nothing is trained again.

        Raises:
            CandidateFault: This candidate cannot be trained or exported.
            ControllerFault: The workers died; another attempt may succeed.
        """


class ClusterTrainer:
    """Exports and trains in the cluster's worker processes."""

    def __init__(self, cluster: Cluster, panel: Panel, split: Split, quantiles: tuple[float, ...] = ()) -> None:
        self._cluster, self._split = cluster, split
        self._shape = Shape.of(panel, split.horizon, quantiles)
        self._panel = cluster.share(panel.digest, panel)

    def export(self, architecture: Architecture) -> Artifact:
        return self._cluster.call(export_untrained, architecture, self._shape)

    def train(self, architecture: Architecture, budget: Training, seed: int, known: Learned | None) -> Trained:
        return self._cluster.call(train_and_score, architecture, self._panel, self._split, budget, seed, known)


def train_and_score(
    architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int, known: Learned | None
) -> Trained:
    """Runs on a worker: train the network, then score it in the precision that would run on the device.

    In fp32 torch answers for the export, which was found equal to it (parity) when it was measured;
    int8 rounds, so there the quantized model itself is scored.
    """
    learned = known or _learn(architecture, panel, split, budget, seed)
    model = restore(architecture, Shape.of(panel, split.horizon, budget.quantiles), learned.weights)
    if architecture.precision == "int8":
        exported, levels = export(model).model, model.shape.quantiles
        return Trained(learned, judge(exported, architecture.window, panel, split, "validation", levels).card)
    origins, levels = split.validation_origins, model.shape.quantiles
    windows = evaluation(panel, origins, architecture.window, split.horizon)
    return Trained(learned, score(windows, predict(model, windows), panel, origins, "validation", quantiles=levels))


def judge(
    model: bytes, window: int, panel: Panel, split: Split, part: str, quantiles: tuple[float, ...] = ()
) -> Judged:
    """Score an exported model on one part of the split: ``validation``, or ``test`` for the final report.

    Cold starts take three forecasts more, so only the final report has them.
    """
    origins = split.validation_origins if part == "validation" else split.test_origins
    windows = evaluation(panel, origins, window, split.horizon)

    def again(given: Windows) -> NDArray[np.float32]:
        return forecast(model, given.inputs())

    found, series = again(windows), len(panel.ids)
    card = score(windows, found, panel, origins, part, quantiles=quantiles, predict=again if part == "test" else None)
    errors = series_errors(windows, point(found, quantiles), series)
    return Judged(card, errors, drawings(panel, origins[-1], found[-series:], quantiles))


def _learn(architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int) -> Learned:
    trained = train(architecture, panel, split, budget, seed)
    return Learned(trained.weights, trained.summary())
