"""One series through LightGBM as a store would run it: features with numpy, then the C API's fastest call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np

from benchmarks.accuracy import timing
from benchmarks.accuracy.rivals.features import DAYS_NEEDED, History, features
from benchmarks.accuracy.task import Task

_FLOAT32, _NORMAL = 0, 0


def single_row(task: Task, model: lightgbm.Booster, objective: str, usual: Any, yearly: bool) -> dict[str, float]:
    """Latency of one series' forecast with and without its features; the median series of the last test origin."""
    origin, series = task.test[-1], np.zeros(task.horizon, np.int64)
    s = int(np.argsort(task.y.sum(1))[len(task.ids) // 2])
    cut = slice(max(0, origin - DAYS_NEEDED), origin + task.horizon)
    first = cut.start
    known = np.arange(cut.stop - first) < origin - first
    y = task.y[s : s + 1, cut] * known
    seen = task.mask[s : s + 1, cut] * (task.open[s : s + 1, cut] > 0) * known
    hist, plan = task.hist[s : s + 1, cut], task.futr[s : s + 1, cut]
    stat, promotions = task.stat[s : s + 1], plan[..., task.promotions].sum(-1)
    day = np.arange(task.horizon) + origin - first
    at = np.full(task.horizon, origin - first)

    def rows() -> tuple[Any, Any]:
        promoted = (promotions > usual[s]).astype(np.int64)
        past = History.of(y, seen, hist, plan, stat, task.first_day + first, promoted, yearly)
        x, level, _ = features(past, series, day, at, task.horizon)
        x[:, 0] = s
        return x, level

    predict = fast(model, rows()[0].shape[1])

    def forecast() -> Any:
        x, level = rows()
        raw = predict(x)
        return np.expm1(raw + level) if objective == "log_l1" else raw * np.exp(level)

    x = rows()[0]
    found, trees = timing.latency(forecast), timing.latency(lambda: predict(x))
    expected = model.predict(x)
    if not np.allclose(predict(x), expected, rtol=1e-6):
        raise RuntimeError("LightGBM's C API answers otherwise than its Python API; expected the same forecasts.")
    return {**found, "trees_only_p50": trees["p50"]}


def fast(model: lightgbm.Booster, columns: int) -> Callable[[Any], Any]:
    """Rows -> raw scores, one call of ``LGBM_BoosterPredictForMatSingleRowFast`` per row."""
    library, config = ctypes.CDLL(lightgbm.libpath._find_lib_path()[0]), ctypes.c_void_p()
    code = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        model._handle, _NORMAL, 0, -1, _FLOAT32, ctypes.c_int32(columns), b"num_threads=1", ctypes.byref(config)
    )
    if code != 0:
        raise RuntimeError(f"LightGBM's C API refused the fast configuration with code {code}, expected 0.")
    length, out = ctypes.c_int64(), ctypes.c_double()
    call, to_length, to_out = library.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length), ctypes.byref(out)

    def predict(rows: Any) -> Any:
        found = np.empty(len(rows))
        for k in range(len(rows)):
            call(config, rows[k].ctypes.data_as(ctypes.c_void_p), to_length, to_out)
            found[k] = out.value
        return found

    return predict
