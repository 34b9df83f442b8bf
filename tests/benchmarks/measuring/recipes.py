"""The recipes of nn-Meter and HW-NAS-Bench beside ours, on the same device, for the same device-seconds.

nn-Meter (MobiSys 2021, section 6) takes 10 warm-ups and the mean of 50 runs; HW-NAS-Bench (ICLR
2021, section 3) warms up for some seconds and keeps a mean of 50. Both are given more than they ask for: as
many runs as fit into the seconds that one of our screening measurements takes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring.bench import Bench, cv, refused, tau, usable
from benchmarks.measuring.steady import LOOP, REPEATS
from benchmarks.report import Figure
from nas.devices.tensors import encode_inputs
from nas.export.artifact import Artifact

SECONDS = 0.6
RECIPES = {"nn-Meter": (10, 50, SECONDS), "HW-NAS-Bench": (2000, 50, SECONDS / 2)}
"""Warm-ups, least runs, and seconds of runs."""


def side_by_side(bench: Bench) -> list[Figure]:
    """Spread over re-measurements and agreement of two passes, of each recipe and of ours."""
    chosen = bench.some(3)
    figures = []
    ours, two = bench.kept["repeated"], bench.kept["ranked"]
    kept = [row for row in zip(*two, strict=True) if len(usable(row)) == 2]
    own_cv = max(cv([one.paired.ratio for one in usable(column)]) for column in zip(*ours, strict=True))
    own_tau = tau(*([one.paired.ratio for one in column] for column in zip(*kept, strict=True)))
    share = refused([one for found in (*ours, *two) for one in found])
    for name, recipe in RECIPES.items():
        spread = max(cv([run(artifact, recipe) for _ in range(REPEATS)]) for artifact in chosen)
        passes = [[run(artifact, recipe) for artifact in bench.candidates] for _ in range(2)]
        agreement = tau(*passes)
        figures += [
            Figure(f"CV of {name}'s recipe", spread, "%", note="worst of three sizes, 20 re-measurements"),
            Figure(f"tau of {name}'s recipe", agreement, "", note="two passes over 30 candidates"),
            Figure(f"our CV below {name}'s", own_cv, "%", f"< {spread:.2f} %", own_cv < spread, f"refused {share:.0%}"),
            Figure(f"our tau above {name}'s", own_tau, "", f"> {agreement:.3f}", own_tau > agreement,
                   f"refused {share:.0%}"),
        ]  # fmt: skip
    return figures


def run(artifact: Artifact, recipe: tuple[int, int, float]) -> float:
    """The mean in ms that a recipe reports, from a fresh process."""
    warmups, runs, seconds = recipe
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(artifact.model)
        (Path(folder) / "inputs.npz").write_bytes(encode_inputs(artifact.inputs))
        command = [sys.executable, str(LOOP), folder, str(artifact.architecture.threads)]
        command += [str(warmups), str(runs), str(seconds)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1])


def wrong_by(artifact: Artifact, quiet_ms: float, count: int) -> float:
    """How far a recipe is off, in percent, as things are now; it has no way to refuse."""
    means = [run(artifact, RECIPES["nn-Meter"]) for _ in range(count)]
    return 100 * (statistics.median(means) / quiet_ms - 1)
