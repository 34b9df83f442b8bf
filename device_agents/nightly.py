"""The job that a store runs each night: start, load, read, features, every series, write; in a process of its own.

It does for the stopwatch what a package's ``predict.py`` does for a user, step by step.
"""

from __future__ import annotations

import csv
import json
import os
import time
from typing import Any, Dict, List

from device_agents import runtimes
from device_agents.memory import hwm_mb
from device_agents.night_table import MEDIAN, Night, Recipe, features, moment, read_recipe, read_table
from device_agents.protocol import Problem
from device_agents.sandbox import attempt, limit_memory, write


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
    night = features(history, plans, recipe)
    marks["features"] = time.monotonic_ns()
    forecasts = [_forecast(loaded, night.arrays, i, recipe) for i in range(len(night.names))]
    marks["infer"] = time.monotonic_ns()
    save(job["output"], night, forecasts, recipe)
    marks["write"] = time.monotonic_ns()
    return {"marks_ns": marks, "peak_mb": hwm_mb(), "provider": loaded.provider, "series": len(night.names)}


def _forecast(loaded: Any, arrays: Dict[str, Any], i: int, recipe: Recipe) -> Any:
    """Forecast one series, at batch 1 as a store without a deadline does: ``[horizon, quantiles]``."""
    given = {spec.name: arrays[spec.name][i : i + 1] for spec in loaded.inputs if spec.name in arrays}
    found, levels = _blamed(loaded.run, given).get("forecast"), len(recipe.quantiles)
    expected = [1, recipe.horizon] + [levels] * (levels > 1)
    if found is None or list(found.shape) != expected:
        shape = None if found is None else list(found.shape)
        raise Problem("model_failed", "The model's output forecast is %s; expected %s." % (shape, expected))
    return found.reshape(recipe.horizon, levels)


def _blamed(call: Any, *arguments: Any) -> Any:
    """Call the runtime; what it raises is the model's doing."""
    try:
        return call(*arguments)
    except (Problem, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise Problem("model_failed", "The runtime cannot load or run the model: %s." % reason) from error


def save(path: str, night: Night, forecasts: List[Any], recipe: Recipe) -> None:
    """Write ``unique_id, ds, forecast``, the other quantiles and ``planned`` as CSV, down to the disk.

    Raises:
        Problem: ``device_broken`` when there is no room.
    """
    point = recipe.quantiles.index(MEDIAN)
    order = [point, *(q for q in range(len(recipe.quantiles)) if q != point)]
    others = ["q%g" % recipe.quantiles[q] for q in order[1:]]
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["unique_id", "ds", "forecast", *others, "planned"])
            for i, series in enumerate(night.names):
                for t, hour in enumerate(night.hours[i].tolist()):
                    if hour not in recipe.skipped:  # else no clock ever shows it
                        numbers = ["%.4f" % forecasts[i][t, q] for q in order]
                        writer.writerow([series, moment(hour, recipe), *numbers, night.planned[i, t]])
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        message = "The device cannot write the forecasts (%s); free some of its disk." % error.strerror
        raise Problem("device_broken", message) from None
