"""Nightly forecasts with AutoETS from a cold start, of the sampled series: ``python -m … FOLDER``."""

from __future__ import annotations

import json
import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.rivals.ets import DAYS, fill, forecast
from benchmarks.accuracy.task import Task


def main(folder: Path) -> None:
    """Read history.csv, fit and forecast each series, write forecast.csv."""
    task = Task.read(folder)
    sampled = json.loads((folder / "outcome.json").read_text())["series"] or range(len(task.ids))
    past = pd.read_csv(folder / "history.csv", dtype={"unique_id": str})
    groups = dict(list(past.groupby("unique_id", sort=False)))
    jobs = []
    for s in sampled:
        rows = groups[task.ids[s]]
        known = np.ones(len(rows), bool) if task.open_name is None else rows[task.open_name].to_numpy() > 0
        jobs.append((fill(rows["y"].to_numpy(np.float64), known), [min(DAYS, len(rows))], task.horizon))
    with Pool(task.threads) as pool:
        values = np.concatenate(pool.map(forecast, jobs))
    pd.DataFrame(values, index=[task.ids[s] for s in sampled]).to_csv(folder / "forecast.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
