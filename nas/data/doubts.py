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
