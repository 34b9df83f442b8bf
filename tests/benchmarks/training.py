"""``make bench-training``: what a step of training takes, what of it is making the batch, and whether compiling pays.

Both forms of a step alternate in one process, so that what else runs on a shared computer meets both alike.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1])]  # as pytest does

from benchmarks.accuracy import cells, settings
from benchmarks.accuracy.rivals.plain import LARGE
from benchmarks.report import Figure, write
from nas.architecture import Architecture
from nas.data import Panel, Split
from nas.models.batches import Batches
from nas.models.forecaster import build
from nas.models.shape import Shape
from nas.models.training import _Steps, calibrate
from nas.request import Training
from nas.space import SearchSpace

ROUNDS, STEPS = 5, 8
INTRODUCTION = """A step of training on {data}: batches of {batch} windows, two threads. *Eager* is what the service
does; *compiled* is the same step through `torch.compile`. Compiling takes its seconds once per network and process,
and a search trains each network once: it pays after so many steps, where it pays at all, and a training of the
default budget has {budget} steps."""


def main() -> None:
    """Time each network's step in both forms, and the making of its batches."""
    torch.set_num_threads(2)
    name = "rossmann-h14" if settings.rossmann() else "journey-h14"
    setting = settings.prepared(name, Path(os.environ.get("WORK") or cells.WORK).resolve(), None)
    first = SearchSpace.load("lstm_compact").first[0].model_dump(mode="json", exclude_none=True)
    networks = {"lstm_compact's first": Architecture.from_dict(first), "plain LSTM 2x512": LARGE}
    figures = [f for title, a in networks.items() for f in _figures(title, a, setting.panel, setting.split)]
    budget = Training()
    steps = budget.max_epochs * budget.steps_per_epoch
    write("training", INTRODUCTION.format(data=name, batch=budget.batch, budget=steps), figures)


def _figures(title: str, architecture: Architecture, panel: Panel, split: Split) -> list[Figure]:
    budget, network = Training(), architecture.network
    batches = Batches(panel, split.horizon, split.train_end, network.window, budget.batch, 0)
    eager, compiled = (_steps(network, panel, split, budget) for _ in range(2))
    compiled._model.raw = torch.compile(compiled._model.raw)  # what the loss calls
    compiling = sum(_seconds(lambda: compiled._step(batches.draw())) for _ in range(STEPS))
    if not torch._dynamo.utils.counters["stats"]["unique_graphs"]:
        raise SystemExit("torch.compile compiled nothing, expected a graph at least; look at what the loss calls.")
    torch._dynamo.utils.counters.clear()
    eager._step(batches.draw())
    drawn, plain, fast = [], [], []
    for _ in range(ROUNDS):
        drawn += [_seconds(batches.draw) for _ in range(STEPS)]
        plain += [_seconds(lambda: eager._step(batches.draw())) for _ in range(STEPS)]
        fast += [_seconds(lambda: compiled._step(batches.draw())) for _ in range(STEPS)]
    step, draw, short = (statistics.median(times) for times in (plain, drawn, fast))
    ratios = [f / p for f, p in zip(sorted(fast), sorted(plain), strict=True)]
    saved = step - short
    pays = f"pays after {compiling / saved:.0f} steps" if saved > 0 else "never pays"
    tenths = statistics.quantiles(plain, n=10)
    spread = f"10 % {tenths[0] * 1e3:.1f} to 90 % {tenths[-1] * 1e3:.1f} ms"
    return [
        Figure(f"{title}: a step", step * 1e3, "ms", note=spread),
        Figure(f"{title}: windows a second", budget.batch / step, "1/s"),
        Figure(f"{title}: share of a step that makes its batch", draw / step, ""),
        Figure(
            f"{title}: compiled step over eager",
            short / step,
            "",
            note=f"quantile by quantile {min(ratios):.2f} to {max(ratios):.2f}",
        ),
        Figure(f"{title}: compiling, and the first {STEPS} steps", compiling, "s", note=pays),
    ]


def _steps(network: Architecture, panel: Panel, split: Split, budget: Training) -> _Steps:
    torch.manual_seed(0)
    model = build(network, Shape.of(panel, split.horizon, budget.quantiles))
    calibrate(model, panel, split.train_end)
    model.train()
    return _Steps(model, budget)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
