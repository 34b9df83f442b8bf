"""What a store's nightly job reads: one table of sales and plans, and the recipe that makes inputs of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.data.panel import Panel
from nas.data.split import Split
from nas.errors import DataError
from nas.export.tables import as_csv, columns, history, plans

STORE = "store"
"""The static column that says which store a series belongs to."""


def store_table(panel: Panel, split: Split, architecture: Architecture) -> tuple[bytes, dict[str, Any]]:
    """Return a store's table on the eve of the last test forecast, and the recipe to ``Fleet.sweep`` it with.

    The store is the one with the most series; without a static column ``store`` all series are one store's.
    The table holds the newest ``window`` days of each series that sold in them, and the plans for
    the days ahead, if anything is planned; their ``y`` is empty.

    Raises:
        DataError: No series was observed in the window.
    """
    origin = split.test_origins[-1]
    first = max(0, origin - architecture.window)
    dull = [""] * (1 + len(panel.hist_names)), [""] * len(panel.stat_names)
    rows: list[list[Any]] = []
    for s in _largest_store(panel):
        known = np.flatnonzero(panel.mask[s, first:origin])
        if len(known):
            last = first + int(known[-1])
            rows += history(panel, s, range(max(0, last + 1 - architecture.window), last + 1))
            ahead = plans(panel, s, range(last + 1, last + 1 + split.horizon)) if panel.futr_names else []
            rows += [[series, day, *dull[0], *planned, *dull[1]] for series, day, *planned in ahead]
    if not rows:
        raise DataError(
            f"No series was observed from {panel.date(first)} to {panel.date(origin - 1)}; a store's nightly job needs "
            "recent sales: give a table that reaches to its own end."
        )
    header = ["unique_id", "ds", "y", *panel.hist_names, *panel.futr_names, *panel.stat_names]
    recipe = {"window": architecture.window, "horizon": split.horizon, "columns": columns(panel)}
    return as_csv(header, rows), recipe


def _largest_store(panel: Panel) -> list[int]:
    everything = range(len(panel.ids))
    if STORE not in panel.stat_names:
        return list(everything)
    codes = panel.stat[:, panel.stat_names.index(STORE)]
    largest = np.bincount(codes).argmax()
    return [s for s in everything if codes[s] == largest]
