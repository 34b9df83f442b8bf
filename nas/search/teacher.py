"""Making a teacher: trained here and measured like any model, or imported; both end as forecasts that can teach."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from nas.architecture import Architecture
from nas.data.forecast_table import read_forecasts
from nas.data.forecasts import Forecasts
from nas.data.metrics import accuracy
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import evaluation, sample
from nas.errors import ControllerFault
from nas.export.artifact import Artifact
from nas.export.targets import export
from nas.models.shape import Shape
from nas.models.teacher import assembled, foresee
from nas.models.training import Trained, train
from nas.request import Training
from nas.search.objectives import costs
from nas.search.study import trial_seed
from nas.search.workshop import Workshop, measured, threads_of_torch

LARGE = Architecture(layers=2, hidden=512, window=56, history="pooled")
"""What a teacher is unless something else is asked for; day by day, its training takes three times as long."""
PAIRS = 50_000
"""At most so many training pairs are forecast: a pair takes 2x512 units a few milliseconds on one core."""
TRIES = 3

T = TypeVar("T")


class Diary(Protocol):
    """What outlives the controller that trains: a kill costs one epoch at most."""

    def read(self, name: str) -> bytes | None:
        """What was written under a name."""

    def write(self, name: str, content: bytes) -> None:
        """Keep it for good."""

    def checkpoint(self, name: str) -> bytes:
        """The latest checkpoint of a training; empty where there is none."""

    def save_checkpoint(self, name: str, content: bytes) -> None:
        """Replace the checkpoint of a training; an empty one forgets it."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A finished teacher: its forecasts, and what to show of it."""

    forecasts: Forecasts
    result: dict[str, Any]


def train_teacher(
    architecture: Architecture, members: int, budget: Training, seed: int, shop: Workshop, diary: Diary
) -> Taught:
    """Train the members one after the other, let them forecast, and measure them as one model.

    Raises:
        CandidateFault: It cannot be trained or exported.
        DeviceFault: A device cannot be used; what was trained is kept.
    """
    weights, summaries = [], []
    for number in range(members):
        trained = diary.read(f"member-{number}")
        if trained is None:
            found = _member(architecture, budget, number, members, trial_seed(seed, number), shop, diary)
            trained = found.weights
            diary.write(f"summary-{number}", json.dumps(found.summary()).encode())
            diary.write(f"member-{number}", trained)
            diary.save_checkpoint(f"member-{number}", b"")
        weights.append(trained)
        summaries.append(json.loads(diary.read(f"summary-{number}") or b"{}"))
    shop.tell("forecast the training weeks")
    kept = diary.read("forecasts")
    if kept is None:
        with shop.working():
            arguments = architecture, weights, shop.shared(), shop.split, budget.quantiles, seed
            forecasts = shop.cluster.call(_forecasts, *arguments, shop.cluster.workers)
        diary.write("forecasts", forecasts.to_bytes())
    else:
        forecasts = Forecasts.from_bytes(kept)
    result = {
        "architecture": architecture.network.to_dict(),
        "members": members,
        "training": summaries,
        **_figures(forecasts, shop.panel, shop.split),
        "devices": list(shop.devices),
        "cost": _cost(architecture, weights, budget, shop) if shop.devices else None,
    }
    return Taught(forecasts, result)


def import_teacher(path: Path, trained_until: date | None, shop: Workshop) -> Taught:
    """Read a table of forecasts and check that it can teach.

    Raises:
        DataError: It cannot; carries every problem with row and column.
    """
    shop.tell("read the forecasts")
    found = read_forecasts(path, shop.panel, shop.split, trained_until)
    figures = _figures(found.forecasts, shop.panel, shop.split)
    share = {"in_sample_share": round(found.in_sample_share, 4), "rows_left_out": found.left_out}
    return Taught(found.forecasts, {**figures, **share, "devices": [], "cost": None})


def _member(  # one of several trainings, and where it is written down
    architecture: Architecture, budget: Training, number: int, members: int, seed: int, shop: Workshop, diary: Diary
) -> Trained:
    """Epoch by epoch, so that each is written down before the next one begins."""
    name, begun = f"member-{number}", diary.checkpoint(f"member-{number}")
    panel, threads = shop.shared(), shop.cluster.workers
    while True:
        with shop.working():
            found = shop.cluster.call(_epoch, architecture, panel, shop.split, budget, seed, begun, threads)
        begun = found.checkpoint
        diary.save_checkpoint(name, begun)
        best = min(epoch.wape for epoch in found.curve if epoch.wape is not None)
        shop.tell(f"train member {number + 1} of {members}", epoch=len(found.curve), of=budget.max_epochs, wape=best)
        if found.stopped:
            return found


def _epoch(  # a training, and where it goes on
    architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int, begun: bytes, threads: int
) -> Trained:
    """Runs on a worker that has the cores of all others: a teacher is the largest network of all."""
    with threads_of_torch(threads):
        return train(architecture, panel, split, budget, seed, begun=begun, epochs=1)


def _forecasts(  # a model, and what it forecasts
    architecture: Architecture,
    weights: list[bytes],
    panel: Panel,
    split: Split,
    quantiles: tuple[float, ...],
    seed: int,
    threads: int,
) -> Forecasts:
    """Runs on a worker, likewise."""
    model = assembled(architecture.network, Shape.of(panel, split.horizon, quantiles), weights)
    with threads_of_torch(threads):
        return foresee(model, panel, split, most=PAIRS, seed=seed)


def _exported(architecture: Architecture, shape: Shape, weights: list[bytes]) -> Artifact:
    """Runs on a worker."""
    return export(assembled(architecture, shape, weights))


def _cost(architecture: Architecture, weights: list[bytes], budget: Training, shop: Workshop) -> dict[str, Any]:
    """What the teacher would cost where its students run: all members as one model."""
    shop.tell("measure")
    shape = Shape.of(shop.panel, shop.split.horizon, budget.quantiles)
    with shop.working():
        artifact = _patiently(lambda: shop.cluster.call(_exported, architecture, shape, weights))
    return costs(measured(artifact, shop))


def _patiently(call: Callable[[], T]) -> T:
    """Torch's exporter fails now and then, and not again for the same model: hours of training are not lost to it."""
    for _ in range(TRIES - 1):
        try:
            return call()
        except ControllerFault:
            continue
    return call()


def _figures(forecasts: Forecasts, panel: Panel, split: Split) -> dict[str, Any]:
    """Accuracy on validation, and on the training weeks beside it: the closer, the less was only remembered.

    The test weeks are left to the report of a student.
    """
    truth = evaluation(panel, split.validation_origins, 1, split.horizon)
    early = forecasts.only(forecasts.origin <= split.train_end - split.horizon)
    learned = sample(panel, early.series.astype(np.int64), early.origin.astype(np.int64), 1, split.horizon)
    point = forecasts.levels.index(0.5)
    seen: Mapping[str, Any] = {
        "validation": (truth, forecasts.points(panel, split.validation_origins)),
        "training": (learned, early.values[..., point]),
    }
    figures = {
        part: accuracy(windows.target, np.nan_to_num(found), windows.target_mask * np.isfinite(found))
        for part, (windows, found) in seen.items()
    }
    return {"accuracy": figures, "levels": list(forecasts.levels), "training_forecasts": len(early)}
