"""Training one forecaster from scratch, until early stopping.

AdamW with a short warm-up and a cosine down to the last epoch; what is judged after each epoch, and kept, is a
running mean of the weights (B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by
Averaging", 1992), which a small network on noisy sales needs more than it needs another layer. ``patience`` epochs
without a better validation WAPE (with quantiles, pinball loss) end the training.

Steps are eager: on two cores `torch.compile` takes half a minute per network and makes no step faster
(`make bench-training`). With a GPU the same steps run in bfloat16 (AMP), its weights in float32.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.data.metrics import wape
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.windows import Windows, evaluation
from nas.errors import CandidateFault, DataError
from nas.models.batches import Batch, Batches
from nas.models.checkpoint import freeze, thaw
from nas.models.distillation import TeacherSignal
from nas.models.effects import EffectsForecaster
from nas.models.forecaster import Forecaster, build
from nas.models.loss import loss_of, pinball
from nas.models.shape import Shape
from nas.request import Training

WARM = 0.05
"""Share of the steps in which the learning rate rises."""
LAST = 0.005
"""Share of the learning rate that the last step has."""
AVERAGED = 0.995
"""What the running mean keeps of itself at each step."""
DECAY = 1e-4
DECAY_OF_IDS = 1.0
"""Each of a thousand stores has few sales of its own: what is learned of one must be worth it."""
ROWS = 8192
"""Windows that are forecast at a time."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of the learning curve: mean training loss, validation WAPE (none in a refit), learning rate."""

    loss: float
    wape: float | None
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network: weights as safetensors, never a pickle, and how they came to be.

    Attributes:
        best: The epoch whose weights these are, counted from 1.
        stopped: ``early`` when patience ended the training, ``budget`` when ``max_epochs`` did; empty while it may
            go on from ``checkpoint``.
        parameters: How many weights there are.
        seconds: Wall-clock time of the training.
    """

    architecture: Architecture
    shape: Shape
    weights: bytes
    curve: tuple[Epoch, ...]
    best: int
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
            "best_epoch": self.best,
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
    model = build(architecture, shape)
    try:
        model.load_state_dict(load_safetensors(weights))
    except RuntimeError:
        raise CandidateFault(f"The stored weights do not fit; train this network again ({architecture}).") from None
    return model.eval()


def train(  # noqa: PLR0913 - a network, its data and its schedule; the rest is keywords
    architecture: Architecture,
    panel: Panel,
    split: Split,
    budget: Training,
    seed: int,
    *,
    tell: Callable[[Epoch], None] | None = None,
    teacher: TeacherSignal | None = None,
    begun: bytes = b"",
    epochs: int | None = None,
) -> Trained:
    """Train one network; the same seed, data and machine give the same weights, in one go or epoch by epoch.

    Args:
        tell: Called after each epoch.
        teacher: Has a share in the loss (``nas.models.distillation``).
        begun: The checkpoint to go on from; empty begins.
        epochs: Stop after so many, with a checkpoint; None goes on to the end.

    Raises:
        CandidateFault: The loss is no longer a finite number, or the checkpoint is of another network.
        DataError: The validation weeks hold no sales to judge by, or no window may be used for training.
    """
    judge = evaluation(panel, split.validation_origins, architecture.window, split.horizon)

    def judged(model: Forecaster) -> tuple[float, float]:
        found = predict(model, judge)
        middle = found[..., model.shape.point] if model.shape.quantiles else found
        error = wape(judge.target, middle, judge.target_mask)
        if error is None:
            raise DataError("The validation weeks hold no sales, expected some to judge by; choose other weeks.")
        if not model.shape.quantiles:
            return error, error
        return error, _mean_pinball(judge, found, model.shape.quantiles)

    task = _Task(architecture, panel, split, budget, seed, split.train_end, teacher, begun)
    return _fit(task, judged, budget.max_epochs, tell, epochs)


def refit(architecture: Architecture, panel: Panel, split: Split, budget: Training, seed: int, epochs: int) -> Trained:
    """Train again on all that lies before the test part, for as many epochs as were best when validation decided.

    Raises:
        CandidateFault, DataError: As ``train``.
    """
    end = split.steps - split.test
    return _fit(_Task(architecture, panel, split, budget, seed, end), None, epochs, None)


def predict(model: Forecaster, windows: Windows) -> NDArray[np.float32]:
    """Forecast every window in sales units, ``[B, horizon]``, or with quantiles ``[B, horizon, quantiles]``."""
    model.eval()
    place = next(model.parameters()).device
    arrays = [torch.from_numpy(np.ascontiguousarray(array)) for array in windows.inputs().values()]
    with torch.inference_mode():
        parts = [
            model(*(array[first : first + ROWS].to(place) for array in arrays)).float().cpu().numpy()
            for first in range(0, len(windows), ROWS)
        ]
    return np.concatenate(parts)


def point(model: Forecaster, windows: Windows) -> NDArray[np.float32]:
    """The point forecast of every window in sales units, ``[B, horizon]``."""
    found = predict(model, windows)
    return found[..., model.shape.point] if model.shape.quantiles else found


@dataclass(frozen=True, slots=True)
class _Task:
    """What is trained on what: targets end before the step ``end``."""

    architecture: Architecture
    panel: Panel
    split: Split
    budget: Training
    seed: int
    end: int
    teacher: TeacherSignal | None = None
    begun: bytes = b""


def _fit(
    task: _Task,
    judged: Callable[[Forecaster], tuple[float, float]] | None,
    epochs: int,
    tell: Callable[[Epoch], None] | None,
    part: int | None = None,
) -> Trained:
    started, budget = time.perf_counter(), task.budget
    torch.manual_seed(task.seed)
    network, place = task.architecture.network, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = Shape.of(task.panel, task.split.horizon, budget.quantiles)
    model = build(network, shape)
    calibrate(model, task.panel, task.end)
    model.to(place)
    batches = Batches(task.panel, task.split.horizon, task.end, network.window, budget.batch, task.seed, task.teacher)
    steps = _Steps(model, budget)
    curve: list[Epoch] = []
    best, best_epoch, weights = math.inf, 0, b""
    if task.begun:
        weights, state = steps.go_on(task.begun)
        curve, best, best_epoch = [Epoch(**epoch) for epoch in state["curve"]], state["best"], state["best_epoch"]
        started -= state["seconds"]
    last = epochs if part is None else min(epochs, len(curve) + part)
    while len(curve) < last and len(curve) - best_epoch < budget.patience:
        batches.begin(len(curve))
        loss = steps.epoch(batches)
        error, criterion = (None, -math.inf) if judged is None else judged(steps.averaged)
        curve.append(Epoch(round(loss, 6), None if error is None else round(error, 6), steps.rate))
        if tell is not None:
            tell(curve[-1])
        if judged is None or criterion < best:
            best, best_epoch = criterion, len(curve)
            weights = _saved(steps.averaged)
    over = len(curve) >= epochs or len(curve) - best_epoch >= budget.patience
    stopped = "" if not over else "early" if len(curve) < budget.max_epochs else "budget"
    parameters = sum(p.numel() for p in model.parameters())
    seconds = time.perf_counter() - started
    notes = {"curve": [asdict(epoch) for epoch in curve], "best": best, "best_epoch": best_epoch, "seconds": seconds}
    checkpoint = b"" if over else steps.halt(weights, notes)
    return Trained(network, shape, weights, tuple(curve), best_epoch, stopped, parameters, seconds, checkpoint)


class _Steps:
    """Optimizer, schedule and running mean of one training."""

    def __init__(self, model: Forecaster, budget: Training) -> None:
        self._model, self._budget = model, budget
        self.averaged = copy.deepcopy(model)
        of_ids = [p for name, p in model.named_parameters() if name.startswith("ids.")]
        levels = [p for name, p in model.named_parameters() if name.startswith(("level.", "usual"))]
        others = [p for p in model.parameters() if all(p is not q for q in (*of_ids, *levels))]
        groups = [
            {"params": of_ids, "weight_decay": DECAY_OF_IDS},
            {"params": levels, "weight_decay": 0.0},
            {"params": others, "weight_decay": DECAY},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=budget.learning_rate, betas=(0.9, 0.99))
        total = budget.max_epochs * budget.steps_per_epoch
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: _share(step, total))
        self._done = 0

    def halt(self, best: bytes, notes: dict[str, Any]) -> bytes:
        """A checkpoint of all this, with the best epoch's weights and what else there is to remember."""
        return freeze(self._both(), self._optimizer, best, {**notes, "done": self._done})

    def go_on(self, checkpoint: bytes) -> tuple[bytes, dict[str, Any]]:
        """Put a checkpoint back; returns the best epoch's weights and the notes."""
        best, notes = thaw(checkpoint, self._both(), self._optimizer)
        self._done = self._schedule.last_epoch = notes["done"]
        return best, notes

    def _both(self) -> nn.ModuleList:
        return nn.ModuleList([self._model, self.averaged])

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def epoch(self, batches: Batches) -> float:
        """Take an epoch's steps; returns the mean loss."""
        self._model.train()
        total = torch.zeros(())
        for _ in range(self._budget.steps_per_epoch):
            total += self._step(batches.draw())
        mean = float(total) / self._budget.steps_per_epoch
        if not math.isfinite(mean):
            raise CandidateFault(
                f"The training loss is {mean}, expected a finite number; lower the learning rate "
                f"({self._model.architecture})."
            )
        return mean

    def _step(self, batch: Batch) -> Tensor:
        place = next(self._model.parameters()).device
        half = torch.autocast("cuda", dtype=torch.bfloat16) if place.type == "cuda" else nullcontext()
        with half:
            loss = loss_of(self._model, batch.to(place), self._budget.loss)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._done += 1
        kept = min(AVERAGED, self._done / (9 + self._done))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self._model.parameters()), 1 - kept)
        return loss.detach().cpu()


def calibrate(model: Forecaster, panel: Panel, end: int) -> None:
    """Start a logarithmic model at the mean of what was sold before ``end``, and its ids at theirs."""
    if not isinstance(model, EffectsForecaster):
        return
    seen = (panel.mask * panel.is_open)[:, :end]
    sums, counts = (np.log1p(panel.y[:, :end]) * seen).sum(axis=1), seen.sum(axis=1)
    usual = sums.sum() / max(counts.sum(), 1)
    with torch.no_grad():
        model.usual.fill_(float(usual))
        if model.shape.vocabulary and model.architecture.embedding:
            finest = int(np.argmax(model.shape.vocabulary))
            codes, rows = panel.stat[:, finest], cast("nn.Embedding", model.level[finest]).weight
            of_code = np.bincount(codes, sums, len(rows)) - usual * np.bincount(codes, counts, len(rows))
            shrunk = of_code / (np.bincount(codes, counts, len(rows)) + 1)
            shrunk[0] = 0
            rows.copy_(torch.from_numpy(shrunk.astype(np.float32))[:, None])


def _share(step: int, total: int) -> float:
    """Of the learning rate, at a step of a training."""
    rise = min(1.0, (step + 1) / max(1.0, WARM * total))
    return rise * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))


def _mean_pinball(judge: Windows, forecast: NDArray[np.float32], quantiles: tuple[float, ...]) -> float:
    errors = pinball(torch.from_numpy(judge.target), torch.from_numpy(forecast), quantiles)
    return float((errors * torch.from_numpy(judge.target_mask)).sum())


def _saved(model: Forecaster) -> bytes:
    notes = {"architecture": json.dumps(model.architecture.to_dict())}
    return save_safetensors({name: value.cpu() for name, value in model.state_dict().items()}, metadata=notes)
