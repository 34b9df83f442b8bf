"""A student with a teacher beside the same student without one: what distillation gave, and what is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.data.forecasts import Forecasts
from nas.data.intervals import Interval, paired
from nas.data.metrics import accuracy
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import evaluation, training_pairs
from nas.errors import Conflict
from nas.models.distillation import Signal, TeacherSignal
from nas.models.shape import Shape
from nas.models.training import point, restore, train
from nas.request import Training
from nas.search.teacher import Diary
from nas.search.workshop import Workshop

WITH, WITHOUT, SEARCHED = "with_teacher", "without_teacher", "as_searched"

Points = Mapping[str, NDArray[np.float32]]
"""Part of the split -> point forecasts [B, horizon]."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A teacher as a student's job knows it.

    Attributes:
        id: Its number.
        kind: ``trained`` or ``imported``.
        forecasts: What it said.
        alpha: Its share of the loss.
        in_sample: How much its in-sample forecasts count.
        cost: What it costs on the student's devices; None where it was imported, and so not measured.
    """

    id: int
    kind: str
    forecasts: Forecasts
    alpha: float
    in_sample: float
    cost: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Attributes:
        weights: Of the shipped student, safetensors.
        recipe: How it was trained, for ``recipe.json``.
        report: Accuracies with and without the teacher, and the interval of their difference.
        teacher_cost: What the teacher costs on its devices; None where it was not measured.
    """

    weights: bytes
    recipe: Mapping[str, Any]
    report: Mapping[str, Any]
    teacher_cost: Mapping[str, Any] | None


def distil(  # a network, its schedule and its teacher
    architecture: Architecture,
    searched: bytes,
    budget: Training,
    seed: int,
    lesson: Lesson,
    shop: Workshop,
    diary: Diary,
) -> Distilled:
    """Train one network twice on the same batches, with the teacher's word and without, and choose on validation.

    Both do as many steps; each keeps its best epoch.

    Args:
        searched: The weights that the search found.
        diary: Keeps what was trained, for a controller that has to go on.

    Raises:
        Conflict: The teacher is of other data.
    """
    forecasts, panel, split = lesson.forecasts, shop.panel, shop.split
    if forecasts.panel != panel.digest:
        raise Conflict(
            f"Teacher {lesson.id} is of other data than this student (the table changed since, or another one is "
            "meant); train or import the teacher again."
        )
    levels = Shape.of(panel, split.horizon, budget.quantiles).quantiles
    signal = Signal(_of_training(forecasts, split), levels, lesson.alpha, lesson.in_sample)
    schedule = budget.model_copy(update={"patience": budget.max_epochs})
    twins: dict[str, TeacherSignal] = {WITH: signal, WITHOUT: signal.muted()}
    shared = shop.shared()
    with shop.working(), ThreadPoolExecutor(len(twins)) as pool:
        call = partial(shop.cluster.call, _twin, architecture, shared, split, schedule, seed)
        known = {name: diary.read(name) for name in twins}
        calls = {name: pool.submit(call, twin) for name, twin in twins.items() if known[name] is None}
        trained = {name: known[name] or calls[name].result() for name in twins}
        for name in calls:
            diary.write(name, trained[name])
        points = {
            name: shop.cluster.call(_points, architecture, weights, shared, split, budget.quantiles)
            for name, weights in {**trained, SEARCHED: searched}.items()
        }
    teacher = {part: forecasts.points(panel, origins) for part, origins in _parts(split).items()}
    report = _report(lesson, {**points, "teacher": teacher}, shop)
    weights = {**trained, SEARCHED: searched}[report["shipped"]]
    report |= _coverage(signal, architecture, panel, split)
    return Distilled(weights, _recipe(lesson, schedule, report["shipped"]), report, lesson.cost)


def _twin(
    architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int, teacher: TeacherSignal
) -> bytes:
    """Runs on a worker."""
    return train(architecture, panel, split, budget, seed, teacher=teacher).weights


def _points(
    architecture: Architecture, weights: bytes, panel: Panel, split: Split, quantiles: tuple[float, ...]
) -> dict[str, NDArray[np.float32]]:
    """Runs on a worker: the point forecasts of validation and test."""
    model = restore(architecture.network, Shape.of(panel, split.horizon, quantiles), weights)
    window, horizon = architecture.window, split.horizon
    return {part: point(model, evaluation(panel, origins, window, horizon)) for part, origins in _parts(split).items()}


def _parts(split: Split) -> dict[str, tuple[int, ...]]:
    return {"validation": split.validation_origins, "test": split.test_origins}


def _of_training(forecasts: Forecasts, split: Split) -> Forecasts:
    """Only what training may see: whole horizons before its end."""
    return forecasts.only(forecasts.origin <= split.train_end - split.horizon)


def _report(lesson: Lesson, points: Mapping[str, Points], shop: Workshop) -> dict[str, Any]:
    panel, split = shop.panel, shop.split
    figures: dict[str, dict[str, Any]] = {name: {} for name in points}
    interval = {}
    for part, origins in _parts(split).items():
        truth = evaluation(panel, origins, 1, split.horizon)
        target, mask = truth.target, truth.target_mask
        for name, found in points.items():
            figures[name][part] = accuracy(target, np.nan_to_num(found[part]), mask * np.isfinite(found[part]))
        series = np.tile(np.arange(len(panel.ids)), len(origins))
        interval[part] = _loss(paired(target, points[WITH][part], points[WITHOUT][part], mask, series))
    choice = {name: figures[name]["validation"]["wape"] for name in (WITH, WITHOUT, SEARCHED)}
    shipped, why = shipped_of(choice, interval["validation"])
    return {
        "teacher": lesson.id,
        "kind": lesson.kind,
        "alpha": lesson.alpha,
        "shipped": shipped,
        "chosen_by": why,
        "accuracy": figures,
        "gain": interval,
    }


def shipped_of(wapes: Mapping[str, float], gain: Mapping[str, float | None]) -> tuple[str, str]:
    """Which of the networks is shipped, and why: the best on validation, but a teacher has to earn its part.

    What hears it must beat its twin by more than the series' chance; else the sales alone taught it as well.

    Args:
        wapes: Validation WAPE of the network with the teacher, without it, and as searched.
        gain: The relative difference that the teacher made on validation, with its 95 % bounds where there are any.
    """
    best = min(wapes, key=lambda name: wapes[name])
    if best == WITH and gain["high"] is not None and gain["high"] >= 0:
        best = min((WITHOUT, SEARCHED), key=lambda name: wapes[name])
        return best, "the lowest WAPE on validation without the teacher, whose gain there may be chance"
    return best, "the lowest WAPE on validation"


def _coverage(signal: Signal, architecture: Architecture, panel: Panel, split: Split) -> dict[str, Any]:
    covered = signal.covers(*training_pairs(panel, split.horizon, split.train_end, architecture.window))
    heard = signal.forecasts.in_sample
    return {
        "training_pairs_covered": round(float(covered.mean()), 4),
        "in_sample_share": round(float(heard.mean()), 4) if len(heard) else None,
    }


def _recipe(lesson: Lesson, schedule: Training, shipped: str) -> dict[str, Any]:
    return {
        "teacher": {"id": lesson.id, "kind": lesson.kind},
        "shipped": shipped,
        "schedule": schedule.model_dump(mode="json"),
        "loss": "(1 - alpha * trust) * loss(student, sales) + alpha * trust * |student - teacher|",
        "alpha": lesson.alpha,
        "trust": {"out_of_sample": 1.0, "in_sample": lesson.in_sample, "not_forecast": 0.0},
        "batches": "drawn from all training origins; half of each from those that the teacher knows, if not all",
        "method": "Hinton, Vinyals, Dean (2015): Distilling the Knowledge in a Neural Network",
    }


def _loss(found: Interval) -> dict[str, float | None]:
    """The accuracy loss WAPE(with) / WAPE(without) - 1, with its 95 % bounds."""
    low, high = (None if bound is None else bound - 1 for bound in (found.ratio_low, found.ratio_high))
    return {"loss": found.loss, "low": low, "high": high}
