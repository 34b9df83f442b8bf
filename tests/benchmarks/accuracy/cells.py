"""The cells: which there are, which are done, and how one is run so that a kill loses no other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import judging, settings
from benchmarks.accuracy.settings import Setting
from nas.errors import ControllerFault

REPOSITORY = Path(__file__).parents[3]
WORK = REPOSITORY / "results" / "accuracy-work"
RIVALS = REPOSITORY / ".venv-bench" / "bin" / "python"
THREADS = 2
SEEDS = 3
SWEEPS = 3


@dataclass(frozen=True)
class Method:
    """One method: its module among the rivals, whether it runs in their environment, and what it is called."""

    module: str
    title: str
    rival: bool = False
    seeds: int = 1


METHODS = {
    "seasonal_naive": Method("baselines", "seasonal naive"),
    "day_of_week_mean": Method("baselines", "day-of-week mean"),
    "ours": Method("ours", "our student", seeds=SEEDS),
    "gbm": Method("gbm", "LightGBM", rival=True, seeds=SEEDS),
    "autolstm": Method("neural", "AutoLSTM", rival=True, seeds=SEEDS),
    "nhits": Method("neural", "NHITS", rival=True),
    "tft": Method("neural", "TFT", rival=True),
    "plain_best": Method("plain", "plain LSTM, best of 12"),
    "plain_2x512": Method("plain", "plain LSTM 2×512"),
    "ets": Method("ets", "AutoETS", rival=True),
}
SEVERAL_SEEDS = ("rossmann-h14", "rossmann-h14-dec")


@dataclass(frozen=True)
class Cell:
    """One method in one setting with one seed."""

    setting: Setting
    method: str
    seed: int
    budget: float

    @property
    def name(self) -> str:
        return f"{self.method}-{self.seed}"

    @property
    def path(self) -> Path:
        return self.setting.folder / f"{self.name}.json"

    @property
    def done(self) -> dict[str, Any] | None:
        """The whole result, or None; another budget or other series make it another cell."""
        found = json.loads(self.path.read_text()) if self.path.exists() else None
        same = found and (found["budget"], found["series"]) == (self.budget, len(self.setting.panel.ids))
        return found if same else None


def planned(setting: Setting, budget: float, only: str) -> list[Cell]:
    """The cells of a setting, first seeds first; ``only`` is a list of SETTING or SETTING/METHOD."""
    asked = [word.partition("/")[2] for word in only.split() if word.partition("/")[0] == setting.name]
    methods = [name for name in METHODS if not any(asked) or name in asked]
    many = setting.name in SEVERAL_SEEDS
    return [
        Cell(setting, method, seed, budget)
        for seed in range(SEEDS)
        for method in methods
        if seed == 0 or (many and seed < METHODS[method].seeds)
    ]


def run(cell: Cell) -> None:
    """Run one cell in a process of its own, judge what it forecast, time its sweep; its result appears at the end.

    Raises:
        ControllerFault: The method failed; its log says why.
    """
    method, folder = METHODS[cell.method], cell.setting.folder / cell.name
    first = Cell(cell.setting, cell.method, 0, cell.budget).done if cell.seed else None
    if cell.seed and first is None:
        raise ControllerFault(f"{cell.name} takes over what seed 0 chose, which is not there; run that cell first.")
    for old in folder.glob("*"):
        if old.name != "search":  # a search that was killed goes on
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    task = {
        **settings.words(cell.setting),
        "seed": cell.seed,
        "budget": cell.budget,
        "threads": THREADS,
        "chosen": first and first["chosen"],
        "options": {"method": cell.method, "panel": str(cell.setting.folder / "panel.npz"), "spec": cell.setting.spec},
    }
    settings.written(folder / "task.json", settings.as_json(task))
    python = str(RIVALS) if method.rival else sys.executable
    command = [python, "-m", "benchmarks.accuracy.cell", method.module, str(folder)]
    seconds, peak_mb, code = clocked(command, folder, folder / "log.txt")
    if code != 0:
        said = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise ControllerFault(f"{cell.setting.name}/{cell.name} failed and said: {said[0]} (see {folder / 'log.txt'}).")
    outcome = json.loads((folder / "outcome.json").read_text())
    with np.load(folder / "forecasts.npz") as kept:
        forecasts = dict(kept)
    result = {
        "setting": cell.setting.name,
        "method": cell.method,
        "seed": cell.seed,
        "budget": cell.budget,
        "series": len(cell.setting.panel.ids),
        "forecast_series": outcome["series"],
        **{name: outcome[name] for name in ("tuning_seconds", "fit_seconds", "chosen", "size_kb", "latency_ms")},
        **{name: outcome[name] for name in ("more", "notes", "curve")},
        "cell_seconds": seconds,
        "training_peak_mb": peak_mb,
        "sweep": _swept(outcome["sweep"], folder),
        **judging.judged(cell.setting, forecasts, outcome["series"]),
    }
    settings.written(cell.path.with_suffix(".npz"), (folder / "forecasts.npz").read_bytes())
    settings.written(cell.path, settings.as_json(result))


def clocked(command: list[str], folder: Path, log: Path) -> tuple[float, float, int]:
    """Run a command to its end: wall seconds, its peak memory in MB, its exit code.

    A small process starts it: a child's peak begins with that of the process that forks it.
    """
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    paths = {"PYTHONPATH": f"{REPOSITORY / 'tests'}:{REPOSITORY}", "PYTHONWARNINGS": "ignore"}
    environment = {**os.environ, **threads, **paths}
    clock = [sys.executable, "-IS", str(Path(__file__).with_name("clock.py")), str(log), *command]
    said = subprocess.run(clock, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(said)
    return found["seconds"], found["peak_mb"], found["code"]


def _swept(command: list[str] | None, folder: Path) -> dict[str, float] | None:
    """The nightly job from a cold start: the median of three runs, the largest memory."""
    if command is None:
        return None
    runs = [clocked(command, folder, folder / "sweep.log") for _ in range(SWEEPS)]
    if any(code for _, _, code in runs):
        said = (folder / "sweep.log").read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise ControllerFault(f"The sweep in {folder} failed and said: {said[0]}; see sweep.log there.")
    return {"seconds": float(np.median([s for s, _, _ in runs])), "peak_mb": max(mb for _, mb, _ in runs)}
