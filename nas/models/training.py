"""Training one forecaster from scratch, until early stopping.

Adam on the absolute error (which is what WAPE sums), windows drawn at random from the training
weeks, and the validation WAPE after each epoch. An epoch without progress halves the learning
rate; ``patience`` of them in a row end the training, and the best epoch's weights are kept. A teacher may
have a share in the loss (``nas.models.distillation``), and a training may be done a few epochs at a time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from nas.architecture import Architecture
from nas.data.metrics import wape
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import Windows, evaluation, sample, training_pairs
from nas.errors import CandidateFault, DataError
from nas.models.checkpoint import freeze, thaw
from nas.models.distillation import TeacherSignal, Told, blended, told
from nas.models.forecaster import Forecaster, Shape
from nas.request import Training

UNSEEN = 0.02
"""Share of rows whose static ids are hidden in training, so that a new store's id 0 means something."""


Draw: TypeAlias = Callable[[np.random.Generator], tuple[Windows, Told | None]]
"""Gives a batch: the windows, and what a teacher says of them."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of the learning curve: mean training loss, validation WAPE, and the learning rate."""

    loss: float
    wape: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network: weights as safetensors, never a pickle, and how they came to be.

    Attributes:
        stopped: ``early`` when patience ended the training, ``budget`` when ``max_epochs`` did; empty while it
            may go on.
        parameters: How many weights there are.
        seconds: Wall-clock time of the training.
        checkpoint: To go on from, where it was asked to stop before its end.
    """

    architecture: Architecture
    shape: Shape
    weights: bytes
    curve: tuple[Epoch, ...]
    stopped: str
    parameters: int
    seconds: float
    checkpoint: bytes = b""

    def model(self) -> Forecaster:
        """The forecaster with its weights, ready to infer."""
        return restore(self.architecture, self.shape, self.weights)

    def summary(self) -> dict[str, Any]:
        """Plain JSON values: everything but the weights."""
        return {
            "epochs": len(self.curve),
            "best_epoch": min(range(len(self.curve)), key=lambda i: self.curve[i].wape) + 1,
            "stopped": self.stopped,
            "parameters": self.parameters,
            "seconds": round(self.seconds, 2),
            "curve": [asdict(epoch) for epoch in self.curve],
        }


def restore(architecture: Architecture, shape: Shape, weights: bytes) -> Forecaster:
    """A forecaster from its safetensors.

    Raises:
        CandidateFault: The weights belong to another architecture.
    """
    model = Forecaster(architecture, shape)
    try:
        model.load_state_dict(load_safetensors(weights))
    except RuntimeError:
        raise CandidateFault(f"The stored weights do not fit; train this network again ({architecture}).") from None
    return model.eval()


def train(  # noqa: PLR0913 # a network, its data and its schedule; the rest is keywords
    architecture: Architecture,
    panel: Panel,
    split: Split,
    budget: Training,
    seed: int,
    *,
    teacher: TeacherSignal | None = None,
    begun: bytes = b"",
    epochs: int | None = None,
) -> Trained:
    """Train one network; the same seed, data and machine give the same weights, in one go or epoch by epoch.

    Args:
        teacher: Has a share in the loss.
        begun: The checkpoint to go on from; empty begins.
        epochs: Stop after so many, with a checkpoint; None goes on to the end.

    Raises:
        CandidateFault: The loss is no longer a finite number, or the checkpoint is of another network.
        DataError: The validation weeks hold no sales to judge by.
    """
    started = time.perf_counter()
    torch.manual_seed(seed)
    shape = Shape.of(panel, split.horizon)
    model = Forecaster(architecture.network, shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=budget.learning_rate)
    judge = evaluation(panel, split.validation_origins, architecture.window, split.horizon)
    draw = _batches(panel, split, architecture.window, budget.batch, teacher)
    curve: list[Epoch] = []
    best, weights, stale = math.inf, b"", 0
    if begun:
        weights, state = thaw(begun, model, optimizer)
        curve, best, stale = [Epoch(**epoch) for epoch in state["curve"]], state["best"], state["stale"]
        started -= state["seconds"]
    last = budget.max_epochs if epochs is None else min(budget.max_epochs, len(curve) + epochs)
    while len(curve) < last and stale < budget.patience:
        random = np.random.default_rng([seed, len(curve)])  # of its own for each epoch: begun anew, it draws the same
        loss = _epoch(model, optimizer, partial(draw, random), budget.steps_per_epoch)
        error = wape(judge.target, predict(model, judge), judge.target_mask)
        if error is None:
            raise DataError("The validation weeks hold no sales, expected some to judge by; choose other weeks.")
        curve.append(Epoch(round(loss, 6), round(error, 6), optimizer.param_groups[0]["lr"]))
        if error < best:
            best, stale = error, 0
            notes = {"architecture": json.dumps(model.architecture.to_dict())}
            weights = save_safetensors(model.state_dict(), metadata=notes)
        else:
            stale += 1
            optimizer.param_groups[0]["lr"] *= 0.5
    over = len(curve) >= budget.max_epochs
    stopped = "early" if stale >= budget.patience else "budget" if over else ""
    parameters = sum(p.numel() for p in model.parameters())
    seconds = time.perf_counter() - started
    state = {"curve": [asdict(epoch) for epoch in curve], "best": best, "stale": stale, "seconds": seconds}
    checkpoint = b"" if stopped else freeze(model, optimizer, weights, state)
    return Trained(architecture.network, shape, weights, tuple(curve), stopped, parameters, seconds, checkpoint)


def predict(model: Forecaster, windows: Windows) -> NDArray[np.float32]:
    """Forecast every window, ``[B, horizon]`` in sales units."""
    model.eval()
    with torch.inference_mode():
        result: NDArray[np.float32] = model(*_tensors(windows)).numpy()
    return result


def _epoch(
    model: Forecaster, optimizer: torch.optim.Optimizer, batch: Callable[[], tuple[Windows, Told | None]], steps: int
) -> float:
    model.train()
    total = 0.0
    for _ in range(steps):
        loss = _loss(model, *batch())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += float(loss.detach())
    if not math.isfinite(total):
        raise CandidateFault(
            f"The training loss is {total}, expected a finite number; lower the learning rate ({model.architecture})."
        )
    return total / steps


def _loss(model: Forecaster, windows: Windows, said: Told | None) -> Tensor:
    """Mean absolute error, each series weighted between its own scale and the whole panel's.

    Pure sales units let the largest series drown the others; pure ratios ignore what WAPE sums.
    Dividing by the square root of the level stands between them.
    """
    target, mask = torch.from_numpy(windows.target), torch.from_numpy(windows.target_mask)
    forecast = model.unclamped(*_tensors(windows))
    level = torch.from_numpy(windows.past[:, :, 0]).mean(1, keepdim=True)
    weight = mask / (level + 1.0).sqrt()
    error = (forecast - target).abs()
    if said is not None:
        error = blended(error, forecast, said)
    return (error * weight).sum() / (target * weight).sum().clamp(min=1e-6)


def _batches(panel: Panel, split: Split, window: int, size: int, teacher: TeacherSignal | None) -> Draw:
    """Batches drawn from all training pairs; where a teacher knows only some of them, half from those."""
    series, origin = training_pairs(panel, split, window)
    covered = np.zeros(0, np.int64) if teacher is None else np.flatnonzero(teacher.covers(series, origin))

    def draw(random: np.random.Generator) -> tuple[Windows, Told | None]:
        chosen = random.integers(0, len(series), size)
        if 0 < len(covered) < len(series):
            chosen[: size // 2] = covered[random.integers(0, len(covered), size // 2)]
        windows = sample(panel, series[chosen], origin[chosen], window, split.horizon)
        windows.static[random.random(size) < UNSEEN] = 0
        return windows, None if teacher is None else told(teacher, series[chosen], origin[chosen])

    return draw


def _tensors(windows: Windows) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in windows.inputs().values())
