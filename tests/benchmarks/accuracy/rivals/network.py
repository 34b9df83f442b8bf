"""Our networks, as the bench trains, refits, exports and times them; the student and the plain LSTMs alike."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from benchmarks.accuracy import settings, timing
from benchmarks.accuracy.task import Outcome, Task
from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import Windows, evaluation, sample
from nas.export import package
from nas.export.calendar import calendar
from nas.export.targets import export
from nas.models.shape import Shape
from nas.models.training import Trained, predict, refit, train
from nas.request import DataSpec, Training

PROBE_STEPS, MOST_EPOCHS = 4, 40
LONGER = Training(max_epochs=30, patience=10)
"""Tuning compares short trainings; what it chose is trained for longer, as `nas student export` does on demand."""


@dataclass(frozen=True, eq=False)
class Data:
    """The task as our own panel and split."""

    panel: Panel
    split: Split

    @classmethod
    def of(cls, task: Task) -> Data:
        panel = Panel.from_bytes(Path(task.options["panel"]).read_bytes())
        torch.set_num_threads(task.threads)
        held_out = task.test[0] - task.validation[0]
        return cls(panel, Split(panel.steps, task.horizon, held_out, panel.steps - task.test[0]))


def affordable(data: Data, architecture: Architecture, seconds: float, seed: int) -> Training:
    """The usual training with no more epochs than fit into so many seconds; a slow network's epochs are shorter."""
    usual, started = Training(), time.perf_counter()
    probe = usual.model_copy(update={"max_epochs": 1, "steps_per_epoch": PROBE_STEPS})
    trained = train(architecture, data.panel, data.split, probe, seed)
    held_out = evaluation(data.panel, data.split.validation_origins, architecture.window, data.split.horizon)
    before = time.perf_counter()
    predict(trained.model(), held_out)
    judging = time.perf_counter() - before
    step = max(1e-3, (trained.seconds - judging) / PROBE_STEPS)
    left = max(0.0, seconds - (time.perf_counter() - started))
    steps = int(min(usual.steps_per_epoch, max(5.0, (left / 10 - judging) / step)))
    epochs = max(1, min(MOST_EPOCHS, int(left / (judging + steps * step))))
    return usual.model_copy(update={"steps_per_epoch": steps, "max_epochs": epochs})


def outcome(task: Task, data: Data, architecture: Architecture, budget: Training, validated: Trained) -> Outcome:
    """Refit on all before the test, export, forecast with what would be deployed, and time that.

    Args:
        architecture: What is refitted.
        budget: What it was trained with on the training weeks.
        validated: That training; it says how many epochs are enough.
    """
    started = time.perf_counter()
    trained = refit(architecture, data.panel, data.split, budget, task.seed, validated.best)
    fit_seconds = time.perf_counter() - started
    artifact = export(replace_precision(trained, architecture))
    (task.folder / f"model.{architecture.precision}.onnx").write_bytes(artifact.model)
    _package(task, data, architecture)
    task.write_store_table(architecture.window)
    before = export(replace_precision(validated, architecture))
    return Outcome(
        test=_forecast(artifact.model, task, data, architecture.window, task.test),
        validation=_forecast(before.model, task, data, architecture.window, task.validation),
        fit_seconds=fit_seconds,
        size_kb=len(artifact.model) / 1000,
        latency_ms=_latency(artifact.model, task, data, architecture.window),
        sweep=_sweep(task),
        more={"parameters": trained.parameters, "architecture": architecture.to_dict()},
        curve=[[float(i * budget.steps_per_epoch), e.wape or 0.0] for i, e in enumerate(validated.curve, start=1)],
    )


def replace_precision(trained: Trained, architecture: Architecture) -> Any:
    """The trained network in the precision that would be deployed."""
    return replace(trained, architecture=architecture).model()


def _forecast(model: bytes, task: Task, data: Data, window: int, origins: list[int]) -> NDArray[np.float32]:
    windows = evaluation(data.panel, origins, window, task.horizon)
    values = _session(model)(windows)
    return task.closed_as_zero(values.reshape(len(origins), len(task.ids), task.horizon), origins)


def _session(model: bytes) -> Any:
    """Windows -> forecasts [B, H], on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = {spec.name for spec in session.get_inputs()}

    def run(windows: Windows) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(
            ["forecast"], {name: array for name, array in windows.inputs().items() if name in wanted}
        )[0]
        return found

    return run


def _latency(model: bytes, task: Task, data: Data, window: int) -> dict[str, float]:
    """From a series' arrays to its forecast: cutting the window is the only step outside the graph."""
    run = _session(model)
    series, origin = np.array([int(np.argsort(task.y.sum(1))[len(task.ids) // 2])]), np.array([task.test[-1]])
    return timing.latency(lambda: run(sample(data.panel, series, origin, window, task.horizon)))


def _package(task: Task, data: Data, architecture: Architecture) -> None:
    """What predict.py needs beside the model, as the package has it."""
    shutil.copy(predict_file(), task.folder / "predict.py")
    spec = DataSpec.checked(settings.filled(task.options["spec"]))
    described = SimpleNamespace(
        panel=data.panel,
        split=data.split,
        data=spec,
        architecture=architecture,
        shape=Shape.of(data.panel, task.horizon),
        models=[architecture.precision],
        origin={},
    )
    (task.folder / "architecture.json").write_text(json.dumps(package._architecture(described)))
    (task.folder / "calendar.json").write_text(json.dumps(calendar(data.panel, spec)))


def predict_file() -> Path:
    """The script that travels with a package."""
    return Path(package.__file__).with_name("predict.py")


def _sweep(task: Task) -> list[str]:
    folder = task.folder
    command = f"'{sys.executable}' predict.py --history history.csv --future future.csv > forecast.csv"
    return ["/bin/sh", "-c", f"cd '{folder}' && exec {command}"]
