"""A panel's sales as CSV rows, in the form that a package's ``predict.py`` and a store sweep read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nas.data.panel import Panel

Row = list[Any]


def columns(panel: Panel) -> dict[str, Any]:
    """Which columns are which channel: names of ``hist`` and ``futr``, and ``stat`` with the values that have codes."""
    static = [{"name": n, "values": list(v)} for n, v in zip(panel.stat_names, panel.stat_vocab, strict=True)]
    return {"hist": list(panel.hist_names), "futr": list(panel.futr_names), "stat": static}


def history(panel: Panel, series: int, days: Iterable[int]) -> list[Row]:
    """One row per observed day: unique_id, ds, y, historic, future-known and static columns."""
    static = [_word(panel, series, k) for k in range(len(panel.stat_names))]
    return [
        [
            panel.ids[series],
            panel.date(t),
            *map(_number, [panel.y[series, t], *panel.hist[series, t], *panel.futr[series, t]]),
            *static,
        ]
        for t in days
        if panel.mask[series, t]
    ]


def plans(panel: Panel, series: int, days: Iterable[int]) -> list[Row]:
    """One row per day ahead: unique_id, ds and the future-known columns."""
    return [[panel.ids[series], panel.date(t), *map(_number, panel.futr[series, t])] for t in days]


def as_csv(header: Sequence[str], rows: Iterable[Row]) -> bytes:
    """UTF-8 with one header line; the same rows always give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _word(panel: Panel, series: int, column: int) -> str:
    code = int(panel.stat[series, column])
    return panel.stat_vocab[column][code - 1] if code else ""


def _number(value: np.float32) -> str:
    """The shortest text that reads back as the same float32."""
    return np.format_float_positional(value, unique=True, trim="-")
