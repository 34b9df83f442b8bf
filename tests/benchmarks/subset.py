"""How far the ranking of architectures on a subset of the series is that on all of them.

Each architecture is trained and validated on all series, twice, and on subsets by either rule; the budget in steps is
the same everywhere. What a search would do on a subset is judged by what all series say: Kendall's tau of the two
rankings, and the regret of the architecture that the subset ranks first. Two seeds on all series disagree, too: that
is the noise floor. ``ROSSMANN`` names the folder with Rossmann's files; without it the data are Complete Journey's
products.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.report import Figure, write
from nas.architecture import Architecture
from nas.data.load import load_panel
from nas.data.panel import Panel
from nas.data.split import Split
from nas.data.subset import choose
from nas.request import DataSpec, Training

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "edge-nas"
ARCHITECTURES = tuple(
    Architecture(**values)
    for values in (
        {"hidden": 8, "window": 28, "embedding": 8, "head": 16},
        {"hidden": 32, "window": 28, "embedding": 8, "head": 32},
        {"hidden": 8, "window": 28, "embedding": 0, "head": 16},
        {"hidden": 32, "window": 28, "embedding": 0, "head": 32},
        {"hidden": 16, "window": 56, "embedding": 4, "head": 0},
        {"hidden": 4, "window": 14, "embedding": 4, "head": 8},
        {"cell": "gru", "hidden": 16, "window": 28, "embedding": 8, "head": 16},
        {"hidden": 16, "window": 28, "embedding": 16, "head": 0, "history": "pooled"},
    )
)
BUDGET = Training(max_epochs=6, steps_per_epoch=60, batch=128, patience=6)
SHARES = (0.1, 0.25)
RULES = ("stratified", "largest")
Job = tuple[str, float, int, int]  # rule, share, seed, architecture


@cache
def whole() -> Panel:
    folder = os.environ.get("ROSSMANN")
    spec = DataSpec(source="rossmann", path=folder) if folder else DataSpec(grain="product")
    return load_panel(spec, CACHE)


@cache
def part(rule: str, share: float) -> Panel:
    panel = whole()
    judged = panel.mask.sum(axis=1)
    zeros = ((panel.y == 0) * panel.mask).sum(axis=1) / np.maximum(judged, 1)
    kept = choose(panel.y.sum(axis=1, dtype=np.float64), zeros, round(share * len(panel.ids)), rule)
    arrays = {name: getattr(panel, name)[kept] for name in ("y", "mask", "hist", "futr", "stat")}
    return replace(panel, ids=tuple(panel.ids[at] for at in kept), **arrays)


def validated(job: Job) -> float:
    """Validation WAPE after a short training."""
    import torch

    from nas.models.training import train

    torch.set_num_threads(1)
    rule, share, seed, number = job
    panel = whole() if share == 1 else part(rule, share)
    trained = train(ARCHITECTURES[number], panel, Split.of(panel), BUDGET, seed)
    return min(epoch.wape for epoch in trained.curve)


def tau(first: list[float], second: list[float]) -> float:
    """Kendall's tau of two rankings without ties."""
    pairs = list(combinations(range(len(first)), 2))
    return sum(np.sign(first[a] - first[b]) * np.sign(second[a] - second[b]) for a, b in pairs) / len(pairs)


def figures(found: Mapping[tuple[str, float, int], list[float]], truth: list[float]) -> list[Figure]:
    again = found["all", 1.0, 1]
    rows = [
        Figure("tau, all series: seed 0 and seed 1", tau(found["all", 1.0, 0], again), "", note="the noise floor"),
        Figure("spread of the architectures", 100 * (max(truth) / min(truth) - 1), "%", note="worst over best WAPE"),
    ]
    for (rule, share, _), wapes in found.items():
        if share < 1:
            name = f"{rule} {share:.0%}"
            regret = 100 * (truth[int(np.argmin(wapes))] / min(truth) - 1)
            note = f"of its series' WAPE, {min(wapes):.4f} to {max(wapes):.4f}"
            rows.append(Figure(f"tau, {name}", tau(truth, wapes), "", note=note))
            rows.append(Figure(f"regret, {name}", regret, "%", note="WAPE on all series of the one ranked first"))
    return rows


def main() -> None:
    kinds = [("all", 1.0, 0), ("all", 1.0, 1), *((rule, share, 0) for share in SHARES for rule in RULES)]
    jobs: list[Job] = [(*kind, number) for kind in kinds for number in range(len(ARCHITECTURES))]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        wapes = list(pool.map(validated, jobs))
    size = len(ARCHITECTURES)
    found = {kind: wapes[at * size : (at + 1) * size] for at, kind in enumerate(kinds)}
    truth = [float(np.mean(pair)) for pair in zip(found["all", 1.0, 0], found["all", 1.0, 1], strict=True)]
    panel = whole()
    source = "Rossmann" if os.environ.get("ROSSMANN") else "Complete Journey's products"
    introduction = (
        f"{size} architectures on {source} ({len(panel.ids)} series, {panel.steps} days), {BUDGET.max_epochs} epochs "
        f"of {BUDGET.steps_per_epoch} steps each, on all series (two seeds, mean) and on subsets "
        "(`nas/data/subset.py`). Ranked by the validation WAPE of the series that were trained on."
    )
    write("subset", introduction, figures(found, truth))


if __name__ == "__main__":
    main()
