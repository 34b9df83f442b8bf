"""LightGBM's forecasts as any tool would hand them over; runs in the rivals' environment: ``gbm FOLDER``.

Each half of the training weeks is forecast by a model of the other half, so that what teaches is out of sample;
validation and test are forecast by a model of all training weeks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.rivals import gbm
from benchmarks.accuracy.rivals.features import DAYS_NEEDED
from benchmarks.accuracy.task import Task

PARAMETERS = {**gbm.FIRST, "trees": 400}
EVERY = 7
"""Days between two training origins."""


def main(folder: str) -> None:
    """Write ``lightgbm.parquet``: unique_id, cutoff, ds, yhat."""
    task = Task.read(Path(folder))
    history, end = gbm._history(task), task.validation[0]
    rows = gbm._training_rows(task, history, end, None)
    day = gbm._observed(task, history, end)[1]
    half = (DAYS_NEEDED + end) // 2
    origins = list(range(DAYS_NEEDED // 2, end - task.horizon + 1, EVERY))
    parts = []
    for taught, said in (
        (day >= half, [o for o in origins if o + task.horizon <= half]),
        (day < half, [o for o in origins if o >= half]),
        (day < end, [*task.validation, *task.test]),
    ):
        model = gbm._fit(task, _some(rows, taught), PARAMETERS)
        found = gbm._predicted(model, gbm._forecast_rows(task, history, said), PARAMETERS["objective"])
        parts.append(_table(task, said, gbm._sales(task, found, said)))
    pd.concat(parts).to_parquet(task.folder / "lightgbm.part")
    (task.folder / "lightgbm.part").rename(task.folder / "lightgbm.parquet")


def _some(rows: gbm.Rows, taken: Any) -> gbm.Rows:
    parts = {name: getattr(rows, name)[taken] for name in ("x", "level", "y", "seen")}
    return gbm.Rows(**parts, names=rows.names)


def _table(task: Task, origins: list[int], forecast: Any) -> pd.DataFrame:
    days = task.ahead(origins)
    shape = len(origins), len(task.ids), task.horizon
    ahead = np.broadcast_to(task.dates(days)[:, None, :], shape)
    cutoff = np.broadcast_to(task.dates(np.asarray(origins) - 1)[:, None, None], shape)
    names = np.broadcast_to(np.asarray(task.ids)[None, :, None], shape)
    columns = {"unique_id": names.ravel(), "cutoff": cutoff.ravel(), "ds": ahead.ravel(), "yhat": forecast.ravel()}
    table = pd.DataFrame(columns)
    return table.astype({"cutoff": "datetime64[s]", "ds": "datetime64[s]"})


if __name__ == "__main__":
    main(sys.argv[1])
