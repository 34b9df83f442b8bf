"""LightGBM as a good practitioner sets it up: one model for all series and all days ahead, tuned with Optuna."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import optuna

from benchmarks.accuracy.rivals.features import DAYS_NEEDED, History, categorical, features
from benchmarks.accuracy.rivals.gbm_row import single_row
from benchmarks.accuracy.task import Outcome, Task

TUNING_ROWS = 200_000
MOST_TREES, PATIENCE = 800, 40
MARGIN = 1.01
"""The smallest model within 1 % of the best one is the one whose size, latency and sweep count."""
FIRST = {
    "objective": "log_l1",
    "num_leaves": 63,
    "learning_rate": 0.1,
    "min_child_samples": 100,
    "feature_fraction": 0.4,
}


@dataclass(frozen=True, eq=False)
class Rows:
    """Features with their levels and targets; ``shape`` of forecasts [O, S, H], if they are some."""

    x: Any
    level: Any
    y: Any
    seen: Any
    names: list[str]


def run(task: Task) -> Outcome:
    """Tune on the validation origins, refit on all before the test, forecast it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    history = _history(task)
    chosen, tuning, validation = task.chosen, 0.0, None
    if chosen is None:
        chosen, tuning, validation = _tuned(task, history)
    started = time.perf_counter()
    train = _training_rows(task, history, task.test[0], None)
    test = _forecast_rows(task, history, task.test)
    best = _fit(task, train, chosen["best"])
    fit_seconds = time.perf_counter() - started
    best.save_model(task.folder / "best.txt")
    small = _small(task, train, best, chosen)
    small.save_model(task.folder / "model.txt")
    forecasts = [
        _sales(task, _predicted(m, test, chosen[k]["objective"]), task.test)
        for m, k in ((best, "best"), (small, "small"))
    ]
    np.savez(
        task.folder / "serving.npz", usual=_usual(task), horizon=task.horizon, stat=task.stat, yearly=history.yearly
    )
    (task.folder / "objective").write_text(chosen["small"]["objective"])
    task.write_store_table(DAYS_NEEDED)
    return Outcome(
        test=forecasts[0],
        validation=validation,
        tuning_seconds=tuning,
        fit_seconds=fit_seconds,
        chosen=chosen,
        size_kb=(task.folder / "model.txt").stat().st_size / 1000,
        latency_ms=single_row(task, small, chosen["small"]["objective"], _usual(task), history.yearly),
        sweep=[sys.executable, "-m", "benchmarks.accuracy.rivals.gbm_sweep", str(task.folder)],
        forms={"small": forecasts[1]},
        more={"best_size_kb": (task.folder / "best.txt").stat().st_size / 1000, "features": len(train.names)},
        notes="costs are of the smallest within 1 % of the best, accuracy is the best one's",
    )


def _tuned(task: Task, history: History) -> tuple[dict[str, Any], float, Any]:
    """What to fit: the best, and the smallest within 1 % of it; and the best one's validation forecast."""
    started = time.perf_counter()
    train = _training_rows(task, history, task.validation[0], TUNING_ROWS)
    held_out = _forecast_rows(task, history, task.validation)
    tried: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        params = {
            "objective": trial.suggest_categorical("objective", ["log_l1", "l1", "tweedie"]),
            "num_leaves": trial.suggest_int("num_leaves", 7, 255, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.2, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 20, 500, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 0.9),
        }
        model = _fit(task, train, {**params, "trees": MOST_TREES}, held_out, started + task.budget)
        curve = []
        for trees in sorted({*range(25, model.num_trees(), 25), model.num_trees()}):
            forecast = _sales(task, _predicted(model, held_out, params["objective"], trees), task.validation)
            curve.append((task.wape(forecast, task.validation), trees))
        wape, trees = min(curve)
        sizes = {n: len(model.model_to_string(num_iteration=n)) for _, n in curve}
        tried.append({"params": params, "curve": curve, "sizes": sizes, "wape": wape, "trees": trees, "model": model})
        return wape

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=task.seed))
    study.enqueue_trial(FIRST)
    study.optimize(objective, timeout=task.budget)
    best = min(tried, key=lambda t: t["wape"])
    small = min(
        ((t["sizes"][n], t["params"], n) for t in tried for w, n in t["curve"] if w <= best["wape"] * MARGIN),
        key=lambda found: found[0],
    )
    validation = _sales(
        task, _predicted(best["model"], held_out, best["params"]["objective"], best["trees"]), task.validation
    )
    chosen = {
        "best": {**best["params"], "trees": best["trees"]},
        "small": {**small[1], "trees": small[2]},
        "trials": len(tried),
        "validation_wape": best["wape"],
    }
    return chosen, time.perf_counter() - started, validation


def _small(task: Task, train: Rows, best: lightgbm.Booster, chosen: dict[str, Any]) -> lightgbm.Booster:
    """The smallest within 1 %: the first trees of the best one, where only their number differs."""
    trees = chosen["small"]["trees"]
    if {**chosen["small"], "trees": 0} == {**chosen["best"], "trees": 0}:
        return lightgbm.Booster(model_str=best.model_to_string(num_iteration=trees))
    return _fit(task, train, chosen["small"])


def _fit(
    task: Task, rows: Rows, params: dict[str, Any], held_out: Rows | None = None, deadline: float | None = None
) -> lightgbm.Booster:
    kind = {"log_l1": "l1"}.get(params["objective"], params["objective"])
    known = rows.seen > 0
    weight = np.exp(rows.level[known]) / np.exp(rows.level[known]).mean()
    data = lightgbm.Dataset(
        rows.x[known],
        _label(rows, params["objective"])[known],
        weight=weight,
        feature_name=rows.names,
        categorical_feature=categorical(rows.names),
        params={"verbose": -1, "num_threads": task.threads},
        free_raw_data=True,
    )
    settings = {
        **{name: value for name, value in params.items() if name not in ("objective", "trees")},
        "objective": kind,
        "metric": "l1" if kind == "l1" else kind,
        "verbose": -1,
        "num_threads": task.threads,
        "seed": task.seed,
        "bagging_freq": 1,
        "bagging_fraction": 0.8,
        "cat_smooth": 20,
    }
    if held_out is None:
        return lightgbm.train(settings, data, params["trees"])
    judged = held_out.seen > 0
    valid = data.create_valid(
        held_out.x[judged], _label(held_out, params["objective"])[judged], weight=np.exp(held_out.level[judged])
    )
    stop = [lightgbm.early_stopping(PATIENCE, verbose=False), _until(deadline)]
    return lightgbm.train(settings, data, params["trees"], valid_sets=[valid], callbacks=stop)


def _until(deadline: float | None) -> Any:
    """Stop when the time is up: the last trial counts as far as it came."""

    def check(env: Any) -> None:
        if deadline is not None and time.perf_counter() > deadline:
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    check.order = 40  # type: ignore[attr-defined]  # LightGBM reads it off the function
    return check


def _label(rows: Rows, objective: str) -> Any:
    return np.log1p(rows.y) - rows.level if objective == "log_l1" else rows.y / np.exp(rows.level)


def _predicted(model: lightgbm.Booster, rows: Rows, objective: str, trees: int | None = None) -> Any:
    raw = model.predict(rows.x, num_iteration=trees)
    return np.expm1(raw + rows.level) if objective == "log_l1" else raw * np.exp(rows.level)


def _sales(task: Task, values: Any, origins: list[int]) -> Any:
    return task.closed_as_zero(values.reshape(len(origins), len(task.ids), task.horizon), origins)


def _history(task: Task) -> History:
    seen = task.mask * (task.open > 0)
    plan = task.futr
    promoted = (plan[..., task.promotions].sum(-1) > _usual(task)[:, None]).astype(np.int64)
    return History.of(task.y, seen, task.hist, plan, task.stat, task.first_day, promoted, task.saw_a_year)


def _usual(task: Task) -> Any:
    """A series is promoted where it is so more than usually; of a yes-or-no promotion that is simply yes."""
    return task.futr[:, : task.validation[0], task.promotions].sum(-1).mean(1)


def _training_rows(task: Task, history: History, end: int, most: int | None) -> Rows:
    """One row per observed day, at a random distance from its origin."""
    draw = np.random.default_rng(task.seed)
    series, day = _observed(task, history, end)
    if most is not None and len(day) > most:
        kept = draw.choice(len(day), most, replace=False)
        series, day = series[kept], day[kept]
    return _rows(task, history, series, day, day - draw.integers(0, task.horizon, len(day)))


def _observed(task: Task, history: History, end: int) -> tuple[Any, Any]:
    """Series and day of every observed day that has some past."""
    series, day = np.nonzero(history.seen[:, task.horizon + 28 : end])
    return series, day + task.horizon + 28


def _forecast_rows(task: Task, history: History, origins: list[int]) -> Rows:
    shape = len(origins), len(task.ids), task.horizon
    origin = np.broadcast_to(np.asarray(origins)[:, None, None], shape)
    series = np.broadcast_to(np.arange(shape[1])[None, :, None], shape)
    day = origin + np.arange(task.horizon)
    return _rows(task, history, series.ravel(), day.ravel(), origin.ravel())


def _rows(task: Task, history: History, series: Any, day: Any, origin: Any) -> Rows:
    x, level, names = features(history, series, day, origin, task.horizon)
    return Rows(x, level, history.y[series, day], history.seen[series, day], names)
