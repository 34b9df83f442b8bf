"""What is odd in a table but may well be true: for a person to judge, it stops nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.data.check import Columns
from nas.data.leakage import suspects
from nas.data.long_table import LongTable
from nas.data.outliers import Outliers

LISTED = 10
"""So many of one kind."""


def doubts(table: LongTable, columns: Columns, odd: Outliers) -> Iterator[str]:
    """One sentence each: covariates that know too much, names that are nearly the same, sales far from the usual."""
    yield from suspects(table, columns)
    yield from _twins(table, columns)
    yield from _sparse(columns)
    yield from _blank_plans(table, columns)
    for place, usual in zip(odd.largest.tolist(), odd.usual.tolist(), strict=True):
        yield (
            f"row {columns.row[place]}, column {table.keys.y}: {columns.y[place]:.6g} is far from the {usual:.6g} that "
            f"series {columns.ids[columns.series[place]]!r} usually sells then; look whether it is true"
        )


def _twins(table: LongTable, columns: Columns) -> Iterator[str]:
    """Series whose names differ only in case or in spaces."""
    alike: dict[str, str] = {}
    count = 0
    for place, name in enumerate(columns.ids):
        twin = alike.setdefault(" ".join(name.casefold().split()), name)
        if twin == name:
            continue
        count += 1
        if count <= LISTED:
            at = min(int(np.searchsorted(columns.series, place)), len(columns.row) - 1)
            says = f"{name!r} differs from {twin!r} only in case or spaces; if they are one series, write one name"
            yield f"row {columns.row[at]}, column {'/'.join(table.ids)}: {says}"
    if count > LISTED:
        yield f"and {count - LISTED:,} more names that differ only in case or spaces"


def _sparse(columns: Columns) -> Iterator[str]:
    """A series that lacks most of its steps may be of another frequency; what fills it would be made up."""
    series, step = columns.series[columns.observed], columns.step[columns.observed].astype(np.int64)
    counts = np.bincount(series, minlength=len(columns.ids))
    first, last = np.full(len(counts), columns.steps), np.full(len(counts), -1)
    np.minimum.at(first, series, step)
    np.maximum.at(last, series, step)
    span = last - first + 1
    sparse = np.flatnonzero((counts > 0) & (2 * counts < span))
    if len(sparse):
        worst, unit = sparse[np.argmin(counts[sparse] / span[sparse])], columns.clock.unit
        says = f"series {columns.ids[worst]!r} has {counts[worst]:,} of its {span[worst]:,} {unit}s"
        yield (
            f"{says} ({len(sparse):,} series have less than half); what fills the rest is made up, so look whether "
            f"they are sold by the {unit}"
        )


def _blank_plans(table: LongTable, columns: Columns) -> Iterator[str]:
    """Rows ahead that leave a plan open."""
    ahead = columns.step >= columns.steps
    for name in table.planned:
        blank, rows = int(np.isnan(columns.numbers[name][ahead]).sum()), int(ahead.sum())
        if 0 < blank < rows:
            yield f"column {name} is blank on {blank:,} of {rows:,} planned rows; it is taken as usual there"
