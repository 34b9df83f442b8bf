"""The job that a store runs each night: start, load, read, features, every series, write; in a process of its own.

It does for the stopwatch what a package's ``predict.py`` does for a user, step by step. The table is one CSV:
``unique_id``, ``ds``, ``y`` and the covariates; rows with a ``y`` are history, the newest of them is the last
day known of its series, and rows without a ``y`` are what is planned for the days ahead.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import time
from typing import Any, Dict, List, NamedTuple, Tuple

from device_agents import runtimes
from device_agents.memory import hwm_mb
from device_agents.protocol import Problem
from device_agents.sandbox import attempt, limit_memory, write

Rows = Dict[str, Dict[dt.date, Dict[str, str]]]
DAY = dt.timedelta(days=1)
EPOCH = dt.date(1970, 1, 1)


class Recipe(NamedTuple):
    """How a table becomes a model's inputs: data only, from the blob ``recipe``."""

    window: int
    horizon: int
    hist: List[str]
    futr: List[str]
    stat: List[Tuple[str, Dict[str, int]]]
    """Static columns, each with the code of every value that training knew; others have 0."""


def main() -> None:
    """Do the job that stands on stdin, and report on stdout: marks, peak memory, provider, series."""
    report = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(0) as file:
        job = json.loads(file.readline() or "null")
    if job is not None:  # nothing comes when the agent has gone
        write(report, attempt(lambda: work(job)))


def work(job: Dict[str, Any]) -> Dict[str, Any]:
    """Do the job: ``model``, ``table``, ``recipe`` and ``output`` are paths, besides runtime, threads and memory_mb.

    Returns:
        ``marks_ns``: the moment of each stage's end on the monotonic clock, in order.

    Raises:
        Problem: ``runtime_missing``, ``model_failed`` or ``bad_inputs``.
    """
    marks = {}
    runtime = runtimes.find(job["runtime"])
    runtime.prepare()
    marks["start"] = time.monotonic_ns()
    limit_memory(job["memory_mb"])
    loaded = _blamed(runtime.load, job["model"], job["threads"])
    marks["load"] = time.monotonic_ns()
    recipe = read_recipe(job["recipe"])
    history, plans = read_table(job["table"], recipe)
    marks["read"] = time.monotonic_ns()
    names, days, arrays = features(history, plans, recipe)
    marks["features"] = time.monotonic_ns()
    forecasts = [_forecast(loaded, arrays, i, recipe.horizon) for i in range(len(names))]
    marks["infer"] = time.monotonic_ns()
    save(job["output"], names, days, forecasts)
    marks["write"] = time.monotonic_ns()
    return {"marks_ns": marks, "peak_mb": hwm_mb(), "provider": loaded.provider, "series": len(names)}


def read_recipe(path: str) -> Recipe:
    """Read and check the recipe.

    Raises:
        Problem: ``bad_inputs``.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        columns = found["columns"]
        stat = [(column["name"], {v: i + 1 for i, v in enumerate(column["values"])}) for column in columns["stat"]]
        recipe = Recipe(found["window"], found["horizon"], list(columns["hist"]), list(columns["futr"]), stat)
    except (ValueError, KeyError, TypeError) as error:
        message = "The recipe of the sweep lacks or misspells %s; expected window, horizon and columns." % error
        raise Problem("bad_inputs", message) from None
    lengths = (recipe.window, recipe.horizon)
    if not all(type(days) is int and 1 <= days <= 10000 for days in lengths):
        raise Problem(
            "bad_inputs", "The recipe's window and horizon are %r and %r days; expected 1 to 10000." % lengths
        )
    return recipe


def read_table(path: str, recipe: Recipe) -> Tuple[Rows, Rows]:
    """Read the CSV: history and plans, each as series -> day -> row.

    Raises:
        Problem: ``bad_inputs``.
    """
    wanted = ["unique_id", "ds", "y", *recipe.hist, *recipe.futr, *(name for name, _ in recipe.stat)]
    history: Rows = {}
    plans: Rows = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in wanted if name not in (rows.fieldnames or ())]
            if missing:
                raise Problem(
                    "bad_inputs", "The table has no column %s; expected %s." % (missing[0], ", ".join(wanted))
                )
            for row in rows:
                part = history if row["y"] else plans
                part.setdefault(row["unique_id"], {})[dt.date.fromisoformat(row["ds"])] = row
    except (ValueError, TypeError, csv.Error) as error:
        raise Problem("bad_inputs", "The table is no CSV with dates as YYYY-MM-DD: %.200s." % error) from None
    if not history:
        raise Problem("bad_inputs", "The table has no row with a y; expected the newest days of each series.")
    return history, plans


def features(history: Rows, plans: Rows, recipe: Recipe) -> Tuple[List[str], List[dt.date], Dict[str, Any]]:
    """Return the series' names, the first day that is forecast of each, and the six arrays of the model's contract.

    Raises:
        Problem: ``bad_inputs``.
    """
    import numpy as np

    window, horizon, names = recipe.window, recipe.horizon, sorted(history)
    known = ["y", *recipe.hist, *recipe.futr]
    past = np.zeros((len(names), window, len(known)), np.float32)
    mask = np.zeros((len(names), window), np.float32)
    ahead = np.zeros((len(names), horizon, len(recipe.futr)), np.float32)
    times = np.zeros((len(names), window + horizon), np.int64)
    codes = np.zeros((len(names), len(recipe.stat)), np.int64)
    days = []
    for i, series in enumerate(names):
        rows, plan = history[series], plans.get(series, {})
        days.append(max(rows) + DAY)
        first = days[i] - DAY * window
        times[i] = (first - EPOCH).days * 24 + 24 * np.arange(window + horizon)
        for t in range(window):
            row = rows.get(first + DAY * t)
            if row is not None:
                past[i, t] = _numbers(row, known)
                mask[i, t] = 1
        for t in range(horizon if recipe.futr else 0):
            ahead[i, t] = _numbers(plan.get(days[i] + DAY * t), recipe.futr)
        codes[i] = [values.get(rows[days[i] - DAY][name], 0) for name, values in recipe.stat]
    arrays = {"past": past, "past_mask": mask, "past_time": times[:, :window], "future": ahead}
    return names, days, dict(arrays, future_time=times[:, window:], static=codes)


def _numbers(row: Any, names: List[str]) -> List[float]:
    try:
        return [float(row[name]) for name in names]
    except (TypeError, ValueError):
        message = "The table lacks a number or a planned day: %.200r; expected every one of %s." % (
            row,
            ", ".join(names),
        )
        raise Problem("bad_inputs", message) from None


def _forecast(loaded: Any, arrays: Dict[str, Any], i: int, horizon: int) -> Any:
    """Forecast one series, at batch 1 as a store without a deadline does."""
    given = {spec.name: arrays[spec.name][i : i + 1] for spec in loaded.inputs if spec.name in arrays}
    found = _blamed(loaded.run, given).get("forecast")
    if found is None or found.shape != (1, horizon):
        shape = None if found is None else list(found.shape)
        raise Problem("model_failed", "The model's output forecast is %s; expected [1, %d]." % (shape, horizon))
    return found[0]


def _blamed(call: Any, *arguments: Any) -> Any:
    """Call the runtime; what it raises is the model's doing."""
    try:
        return call(*arguments)
    except (Problem, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise Problem("model_failed", "The runtime cannot load or run the model: %s." % reason) from error


def save(path: str, names: List[str], days: List[dt.date], forecasts: List[Any]) -> None:
    """Write ``unique_id, ds, forecast`` as CSV, down to the disk.

    Raises:
        Problem: ``device_broken`` when there is no room.
    """
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["unique_id", "ds", "forecast"])
            for series, first, values in zip(names, days, forecasts):
                writer.writerows([series, first + DAY * t, "%.4f" % value] for t, value in enumerate(values))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        message = "The device cannot write the forecasts (%s); free some of its disk." % error.strerror
        raise Problem("device_broken", message) from None
