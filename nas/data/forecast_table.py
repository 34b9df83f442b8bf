"""A teacher's forecasts from any tool: ``unique_id, cutoff, ds, yhat[, quantiles][, in_sample]`` as Parquet.

The names are Nixtla's: ``cutoff`` is the last step that was known, ``yhat-lo-80`` and ``yhat-hi-80`` are the ends of
the 80 % interval (the levels 0.1 and 0.9); ``q0.1`` names a level itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from nas.data.findings import Findings
from nas.data.forecast_rows import KEYS, Rows, levels_of, opened
from nas.data.forecasts import Forecasts
from nas.data.panel import Panel
from nas.data.split import Split
from nas.errors import DataError


@dataclass(frozen=True, slots=True)
class Imported:
    """Forecasts that can teach, and what a user should know of them.

    Attributes:
        in_sample_share: Of the training forecasts.
        out_of_calendar: Rows of other series or steps than the panel's, left out.
    """

    forecasts: Forecasts
    in_sample_share: float
    left_out: int


def read_forecasts(path: Path, panel: Panel, split: Split, trained_until: date | None) -> Imported:
    """Read and check a table of forecasts.

    Args:
        panel: What the forecasts are of.
        split: Which origins they have to cover: all of validation and test, and some of training.
        trained_until: The last day that the tool was fitted on; forecasts of days up to it are in-sample. Without
            it the column ``in_sample`` says so, and without that one a forecast is of what came after its training.

    Raises:
        DataError: Carries every problem, with row and column.
    """
    table, found = opened(path), Findings()
    levels = levels_of(table.column_names, found)
    missing = [name for name in KEYS if name not in table.column_names]
    for name in missing:
        found.table("missing column", f"column {name} is missing; the table has {', '.join(table.column_names)}")
    if not len(table):
        found.table("empty table", "the table has no rows, expected one per series, cutoff and step")
    if missing or not levels or not len(table):
        _refuse(path, found)
    rows = Rows.of(table, panel, levels, trained_until, found)
    _refuse(path, found)
    forecasts, left_out = _laid_out(rows, panel, split, levels)
    _expect_coverage(forecasts, panel, split, found)
    _refuse(path, found)
    training = forecasts.in_sample[forecasts.origin <= split.train_end - split.horizon]
    return Imported(forecasts, float(training.mean()), left_out)


def _laid_out(rows: Rows, panel: Panel, split: Split, levels: dict[float, str]) -> tuple[Forecasts, int]:
    """Rows become whole horizons; what lies outside the panel or beyond the horizon is left out and counted."""
    ahead = rows.step - rows.origin
    inside = (rows.origin >= 0) & (rows.origin <= panel.steps - split.horizon)
    kept = inside & (rows.series >= 0) & (ahead < split.horizon)
    series, origin, ahead = rows.series[kept], rows.origin[kept], ahead[kept]
    pairs, which = np.unique(series * panel.steps + origin, return_inverse=True)
    values = np.full((len(pairs), split.horizon, len(levels)), np.nan, np.float32)
    values[which, ahead] = rows.forecast[kept]
    in_sample = np.zeros(len(pairs), bool)
    np.logical_or.at(in_sample, which, rows.in_sample[kept])
    forecasts = Forecasts(
        panel=panel.digest,
        steps=panel.steps,
        levels=tuple(levels),
        series=(pairs // panel.steps).astype(np.int32),
        origin=(pairs % panel.steps).astype(np.int32),
        values=values,
        in_sample=in_sample,
    )
    return forecasts, int((~kept).sum())


def _expect_coverage(forecasts: Forecasts, panel: Panel, split: Split, found: Findings) -> None:
    """A teacher is judged on the same forecasts as its student, and has something to teach."""
    for part, origins in (("validation", split.validation_origins), ("test", split.test_origins)):
        absent = np.isnan(forecasts.points(panel, origins)).reshape(len(origins), len(panel.ids), split.horizon)
        steps = np.asarray(origins)[:, None] + np.arange(split.horizon)
        lacking = (absent & (panel.mask[:, steps].transpose(1, 0, 2) > 0)).any(-1)
        if lacking.any():
            at, who = (int(first[0]) for first in np.nonzero(lacking))
            found.table(
                "not covered",
                (
                    f"column cutoff: {int(lacking.sum())} of {lacking.size} forecasts of the {part} are missing, the "
                    f"first of series {panel.ids[who]!r} with cutoff {panel.date(origins[at] - 1)} for "
                    f"{split.horizon} {panel.clock.unit}s; forecast them too (cutoffs "
                    f"{', '.join(str(panel.date(origin - 1)) for origin in origins)})"
                ),
            )
    if not (forecasts.origin <= split.train_end - split.horizon).any():
        found.table(
            "nothing to teach",
            (
                f"column cutoff: no forecast ends before {panel.date(split.train_end)}, where training ends; give "
                "forecasts from earlier cutoffs, out-of-sample ones if you can (a rolling cross-validation)"
            ),
        )


def _refuse(path: Path, found: Findings) -> None:
    if found.counts:
        kinds = ", ".join(f"{count:,} × {kind}" for kind, count in found.counts.items())
        problems = found.problems()
        raise DataError(
            f"{path} cannot teach ({kinds}); repair what is listed, the first being: {problems[0]}.", problems
        )
