"""Clean columns -> Panel: rows become places in dense arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel

if TYPE_CHECKING:
    from nas.data.check import Columns


def to_panel(
    columns: Columns,
    hist: tuple[str, ...] = (),
    futr: tuple[str, ...] = (),
    *,
    fill: str | None = None,
    largest: int | None = None,
) -> Panel:
    """Lay checked columns out on one calendar.

    Args:
        columns: What ``check`` returned.
        hist: Names of the historic covariates among ``columns.numbers``.
        futr: Names of the future-known covariates among ``columns.numbers``.
        fill: What a missing day inside a series means: ``zero`` (y and covariates are 0) or
            ``previous`` (y and covariates are those of the day before).
        largest: Keep so many series, those with the largest total of y; None keeps all.
    """
    kept = _largest(columns, largest)
    rows = np.flatnonzero(np.isin(columns.series, kept))
    series, day = np.searchsorted(kept, columns.series[rows]), columns.day[rows]
    start = int(day.min())
    size = len(kept), int(day.max()) - start + 1
    place = series, day - start
    row_of = np.full(size, -1, np.int64)
    row_of[place] = rows
    observed = row_of >= 0
    inside = np.maximum.accumulate(observed, axis=1) & np.maximum.accumulate(observed[:, ::-1], axis=1)[:, ::-1]
    if fill == "previous":
        latest = np.maximum.accumulate(np.where(observed, np.arange(size[1]), 0), axis=1)
        row_of = np.where(inside, np.take_along_axis(row_of, latest, axis=1), -1)

    def lay(values: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.where(row_of >= 0, values[row_of], 0).astype(np.float32)

    def stack(names: tuple[str, ...]) -> NDArray[np.float32]:
        layers = [lay(columns.numbers[name]) for name in names]
        return np.stack(layers, axis=-1) if layers else np.zeros((*size, 0), np.float32)

    _, first = np.unique(series, return_index=True)
    coded = {name: np.unique(words[rows[first]], return_inverse=True) for name, words in columns.words.items()}
    codes = [code.astype(np.int64) + 1 for _, code in coded.values()]
    return Panel(
        ids=tuple(columns.ids[place] for place in kept),
        start=np.datetime64(start, "D"),
        y=lay(columns.y),
        mask=inside.astype(np.float32),
        hist=stack(hist),
        hist_names=tuple(hist),
        futr=stack(futr),
        futr_names=tuple(futr),
        stat=np.stack(codes, axis=-1) if codes else np.zeros((len(kept), 0), np.int64),
        stat_names=tuple(coded),
        stat_vocab=tuple(tuple(map(str, vocabulary)) for vocabulary, _ in coded.values()),
    )


def _largest(columns: Columns, largest: int | None) -> NDArray[np.int64]:
    """Positions in ``columns.ids``, ascending; of equal totals the earlier name is kept."""
    totals = np.bincount(columns.series, columns.y, minlength=len(columns.ids))
    return np.sort(np.argsort(-totals, kind="stable")[:largest]).astype(np.int64)
