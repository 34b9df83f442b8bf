"""What a store's nightly job reads: one table of sales and plans, and the recipe that makes inputs of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.errors import DataError
from nas.export.calendar import calendar
from nas.export.tables import Tables, as_csv
from nas.request import DataSpec

STORE = "store"
"""The static column that says which store a series belongs to."""


def store_table(
    panel: Panel,
    split: Split,
    architecture: Architecture,
    data: DataSpec,
    quantiles: tuple[float, ...] = (),
) -> tuple[bytes, dict[str, Any]]:
    """Return a store's table on the eve of the last test forecast, and the recipe to ``Fleet.sweep`` it with.

    The store is the one with the most series; without a static column ``store`` all series are one store's.
    The table holds the newest ``window`` steps of each series that sold in them, and the plans for
    the steps ahead, if anything is planned; their ``y`` is empty.

    Args:
        quantiles: The levels that the model forecasts, ``Shape.quantiles``.

    Raises:
        DataError: No series was observed in the window.
    """
    origin, tables = split.test_origins[-1], Tables(panel, data)
    first = max(0, origin - architecture.window)
    known = [""] * (1 + len(panel.hist_names))
    ahead = [""] * (len(tables.history_header) - len(tables.plans_header) - len(known))
    rows: list[list[Any]] = []
    for s in _largest_store(panel):
        observed = np.flatnonzero(panel.mask[s, first:origin])
        if len(observed):
            last = first + int(observed[-1])
            rows += tables.history(s, range(max(0, last + 1 - architecture.window), last + 1))
            plans = tables.plans(s, range(last + 1, last + 1 + split.horizon)) if tables.planned else []
            rows += [[series, moment, *known, *planned, *ahead] for series, moment, *planned in plans]
    if not rows:
        raise DataError(
            f"No series was observed from {panel.date(first)} to {panel.date(origin - 1)}; a store's nightly job needs "
            "recent sales: give a table that reaches to its own end."
        )
    recipe = {**tables.reading(split, architecture.window, quantiles), **calendar(panel, data)}
    return as_csv(tables.history_header, rows), recipe


def _largest_store(panel: Panel) -> list[int]:
    everything = range(len(panel.ids))
    if STORE not in panel.stat_names:
        return list(everything)
    codes = panel.stat[:, panel.stat_names.index(STORE)]
    largest = np.bincount(codes).argmax()
    return [s for s in everything if codes[s] == largest]
