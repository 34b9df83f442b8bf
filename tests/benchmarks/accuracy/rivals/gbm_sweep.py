"""A store network's nightly forecasts with LightGBM, from a cold start: ``python -m … FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd

from benchmarks.accuracy.rivals.features import History, features


def main(folder: Path) -> None:
    """Read history.csv and future.csv, forecast every series, write forecast.csv."""
    words, serving = json.loads((folder / "task.json").read_text()), np.load(folder / "serving.npz")
    past, plan = (pd.read_csv(folder / name, dtype={"unique_id": str}) for name in ("history.csv", "future.csv"))
    ids, horizon = words["ids"], int(serving["horizon"])
    days = pd.to_datetime(pd.concat([past["ds"], plan["ds"]])).to_numpy("datetime64[D]").astype(np.int64)
    first, size = int(days.min()), (len(ids), int(days.max() - days.min()) + 1)
    code = pd.Index(ids).get_indexer(pd.concat([past["unique_id"], plan["unique_id"]]))
    before, at = slice(len(past)), (code, days - first)

    def laid(names: list[str]) -> np.ndarray:
        table = np.zeros((*size, len(names)), np.float32)
        table[code[before], at[1][before]] = past[names].to_numpy(np.float32)
        return table

    futr = laid(words["futr_names"])
    futr[code[len(past) :], at[1][len(past) :]] = plan[words["futr_names"]].to_numpy(np.float32)
    seen, y = np.zeros(size, np.float32), laid(["y"])[..., 0]
    seen[code[before], at[1][before]] = 1
    shut = words["open_name"]
    is_open = np.ones(size, bool) if shut is None else futr[..., words["futr_names"].index(shut)] > 0
    promoted = (futr[..., words["promotions"]].sum(-1) > serving["usual"][:, None]).astype(np.int64)
    yearly = bool(serving["yearly"])
    history = History.of(y, seen * is_open, laid(words["hist_names"]), futr, serving["stat"], first, promoted, yearly)
    origin = size[1] - horizon
    series, day = np.repeat(np.arange(len(ids)), horizon), np.tile(np.arange(origin, size[1]), len(ids))
    x, level, _ = features(history, series, day, np.full(len(day), origin), horizon)
    raw = lightgbm.Booster(model_file=folder / "model.txt").predict(x)
    log = (folder / "objective").read_text() == "log_l1"
    sales = np.maximum(np.expm1(raw + level) if log else raw * np.exp(level), 0) * is_open[series, day]
    dates = (day + first).astype("datetime64[D]")
    pd.DataFrame({"unique_id": np.asarray(ids)[series], "ds": dates, "forecast": sales.round(4)}).to_csv(
        folder / "forecast.csv", index=False
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
