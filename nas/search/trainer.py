"""The door to whatever trains: export a candidate, train and score a candidate.

The real one sends both to the cluster; ``nas.search.fake`` answers at once by a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from nas.architecture import Architecture
from nas.cluster import Cluster
from nas.data.panel import Panel
from nas.data.scorecard import Scorecard, score
from nas.data.split import Split
from nas.data.windows import evaluation
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

    def __init__(self, cluster: Cluster, panel: Panel, split: Split) -> None:
        self._cluster, self._split = cluster, split
        self._shape = Shape.of(panel, split.horizon)
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
    model = restore(architecture, Shape.of(panel, split.horizon), learned.weights)
    if architecture.precision == "int8":
        return Trained(learned, judge(export(model).model, architecture.window, panel, split, "validation"))
    windows = evaluation(panel, split.validation_origins, architecture.window, split.horizon)
    return Trained(learned, score(windows, predict(model, windows), panel, split.validation_origins, "validation"))


def judge(model: bytes, window: int, panel: Panel, split: Split, part: str) -> Scorecard:
    """Score an exported model on one part of the split: ``validation``, or ``test`` for the final report."""
    origins = split.validation_origins if part == "validation" else split.test_origins
    windows = evaluation(panel, origins, window, split.horizon)
    return score(windows, forecast(model, windows.inputs()), panel, origins, part)


def _learn(architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int) -> Learned:
    trained = train(architecture, panel, split, budget, seed)
    return Learned(trained.weights, trained.summary())
