"""AutoETS (statsforecast): one model per series, no covariates; closed days are filled in before and 0 after."""

from __future__ import annotations

import sys
import time
from multiprocessing import Pool
from typing import Any

import numpy as np

from benchmarks.accuracy.task import Outcome, Task

SAMPLE = 100
"""Series that are forecast where there are many: each takes part of a second, at every origin."""
DAYS, WEEK = 400, 7


def run(task: Task) -> Outcome:
    """Fit on what is known before each part, then follow through the part's origins with the fitted parameters."""
    series = np.unique(
        np.linspace(0, len(task.ids) - 1, min(SAMPLE if len(task.ids) > 2 * SAMPLE else 10**6, len(task.ids))).astype(
            int
        )
    )
    parts, seconds = [], []
    for origins in (task.validation, task.test):
        started = time.perf_counter()
        jobs = [(filled(task, s), origins, task.horizon) for s in series]
        with Pool(task.threads) as pool:
            values = np.stack(pool.map(forecast, jobs), axis=1)
        parts.append(_closed(task, values, origins, series))
        seconds.append(time.perf_counter() - started)
    task.write_store_table(DAYS)
    return Outcome(
        validation=parts[0],
        test=parts[1],
        fit_seconds=seconds[1],
        sweep=[sys.executable, "-m", "benchmarks.accuracy.rivals.ets_sweep", str(task.folder)],
        series=[int(s) for s in series] if len(series) < len(task.ids) else None,
        notes=f"{len(series)} series, also in the sweep; it fits anew every night, so it has no model to keep",
    )


def filled(task: Task, s: int) -> Any:
    """One series whose closed or unseen days hold the mean of their weekday, for a smooth level; [T]."""
    y, known = task.y[s].astype(np.float64), (task.mask[s] > 0) & (task.open[s] > 0)
    return fill(y, known)


def fill(y: Any, known: Any) -> Any:
    """Days that are not known as the mean of the eight latest known ones of the same weekday; 0 where there is none."""
    found = np.where(known, y, 0.0)
    for w in range(WEEK):
        days = np.arange(w, len(y), WEEK)
        latest: list[float] = []
        for t in days:
            if known[t]:
                latest = [*latest[-7:], float(y[t])]
            elif latest:
                found[t] = float(np.mean(latest))
    return found


def forecast(job: tuple[Any, list[int], int]) -> Any:
    """Forecasts [O, H] of one series."""
    from statsforecast.models import AutoETS

    y, origins, horizon = job
    first = origins[0]
    model = AutoETS(season_length=WEEK).fit(y[max(0, first - DAYS) : first])
    found = [model.predict(horizon)["mean"]]
    found += [model.forward(y[max(0, o - DAYS) : o], h=horizon)["mean"] for o in origins[1:]]
    return np.stack(found)


def _closed(task: Task, values: Any, origins: list[int], series: Any) -> Any:
    """As ``Task.closed_as_zero``, of some series."""
    everything = np.zeros((len(origins), len(task.ids), task.horizon))
    everything[:, series] = values
    shape = len(origins), len(task.ids), task.horizon
    return task.closed_as_zero(everything, origins).reshape(shape)[:, series].reshape(-1, task.horizon)
