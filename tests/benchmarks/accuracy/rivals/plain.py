"""Plain LSTMs: what one would train without a search; 2×512, or the best of twelve sizes by validation."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.accuracy.rivals import network
from benchmarks.accuracy.task import Outcome, Task
from nas.architecture import Architecture
from nas.models.training import Trained, train
from nas.request import Training
from nas.search.student import PLAIN

LARGE = replace(PLAIN, layers=2, hidden=512, embedding=8)
TWELVE = tuple(
    replace(LARGE, layers=layers, hidden=hidden) for layers in (1, 2) for hidden in (8, 16, 32, 64, 128, 256)
)


def run(task: Task) -> Outcome:
    """Choose a size on validation, train it as long as our student (2×512 as long as the budget allows), refit it."""
    data, started = network.Data.of(task), time.perf_counter()
    sizes = TWELVE if task.options["method"] == "plain_best" else (LARGE,)
    tried = {a: _trained(task, data, a, task.budget / len(sizes))[0] for a in sizes} if len(sizes) > 1 else {}
    best: Architecture = min(tried, key=lambda a: _error(tried[a])) if tried else LARGE
    tuning = time.perf_counter() - started if tried else 0.0
    if tried:
        budget = network.LONGER
        validated = train(best, data.panel, data.split, budget, task.seed)
    else:
        validated, budget = _trained(task, data, best, task.budget)
    found = network.outcome(task, data, best, budget, validated)
    chosen = {
        "tried": [[str(a), _error(t)] for a, t in tried.items()],
        "architecture": best.to_dict(),
    }
    fit = validated.seconds + found.fit_seconds
    return replace(found, tuning_seconds=tuning, fit_seconds=fit, chosen=chosen)


def _trained(task: Task, data: network.Data, architecture: Architecture, seconds: float) -> tuple[Trained, Training]:
    budget = network.affordable(data, architecture, seconds, task.seed)
    return train(architecture, data.panel, data.split, budget, task.seed), budget


def _error(trained: Trained) -> float:
    """Validation WAPE of the epoch that was kept."""
    error = trained.curve[trained.best - 1].wape
    assert error is not None
    return error
