"""A store network's nightly forecasts with neuralforecast, from a cold start: ``python -m … FOLDER``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pandas as pd
from neuralforecast import NeuralForecast

from benchmarks.accuracy.rivals.frames import calendar_of, static_of
from benchmarks.accuracy.task import Task


def main(folder: Path) -> None:
    """Read history.csv and future.csv, forecast every series, write forecast.csv."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    task = Task.read(folder)
    past, plan = (
        pd.read_csv(folder / name, dtype={"unique_id": str}, parse_dates=["ds"])
        .rename(columns={name: f"hist_{name}" for name in task.hist_names})
        .rename(columns={name: f"futr_{name}" for name in task.futr_names})
        .drop(columns=task.stat_names, errors="ignore")
        for name in ("history.csv", "future.csv")
    )
    for frame in (past, plan):
        for name, values in calendar_of(pd.DatetimeIndex(frame["ds"])).items():
            frame[name] = values
    static = pd.DataFrame({"unique_id": task.ids, **static_of(task)})
    fitted = NeuralForecast.load(str(folder / "model"))
    fitted.predict(df=past, futr_df=plan, static_df=static).to_csv(folder / "forecast.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
