"""Clean columns -> Panel: rows become places in dense arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.data import holidays, subset
from nas.data.panel import Panel

if TYPE_CHECKING:
    from nas.data.check import Columns

Subset: TypeAlias = Literal["largest", "stratified"]


def to_panel(
    columns: Columns,
    hist: tuple[str, ...] = (),
    futr: tuple[str, ...] = (),
    *,
    fill: str | None = None,
    series: int | None = None,
    rule: Subset = "largest",
) -> Panel:
    """Lay checked columns out on one calendar, which ends with the last step that was observed.

    Args:
        columns: What ``check`` returned.
        hist: Names of the historic covariates among ``columns.numbers``.
        futr: Names of the future-known covariates among ``columns.numbers``.
        fill: What a missing step inside a series means: ``zero`` (y and covariates are 0) or
            ``previous`` (y and covariates are those of the step before).
        series: Keep so many series; None keeps all.
        rule: Which series those are, see :func:`nas.data.subset.choose`.
    """
    kept = _kept(columns, series, rule)
    size = len(kept), columns.steps
    places = _Places(columns, kept, size, fill)

    def stack(names: tuple[str, ...]) -> NDArray[np.float32]:
        layers = np.zeros((*size, len(names)), np.float32)
        for layer, name in enumerate(names):
            layers[..., layer] = places.lay(columns.numbers[name])
        return layers

    y, mask = places.lay(columns.y), places.observed(columns)
    planned = stack(futr)
    if columns.holidays:
        days = holidays.on(columns.holidays, columns.start, size[1], columns.clock)
        planned = np.concatenate([planned, np.broadcast_to(days[None, :, None], (*size, 1))], axis=-1)
        futr = (*futr, holidays.NAME)
    coded = {
        name: np.unique([words[place] for place in kept], return_inverse=True) for name, words in columns.words.items()
    }
    codes = [code.astype(np.int64) + 1 for _, code in coded.values()]
    return Panel(
        ids=tuple(columns.ids[place] for place in kept),
        frequency=columns.clock.name,
        start=columns.start,
        y=y * mask,
        mask=mask,
        hist=stack(hist) * mask[..., None],
        hist_names=tuple(hist),
        futr=planned,
        futr_names=tuple(futr),
        stat=np.stack(codes, axis=-1) if codes else np.zeros((len(kept), 0), np.int64),
        stat_names=tuple(coded),
        stat_vocab=tuple(tuple(map(str, vocabulary)) for vocabulary, _ in coded.values()),
        open=columns.open,
    )


class _Places:
    """Where each row goes in an array [S, T], and which row a filled step repeats."""

    def __init__(self, columns: Columns, kept: NDArray[np.int64], size: tuple[int, int], fill: str | None) -> None:
        renumbered = np.full(len(columns.ids), -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        series = renumbered[columns.series]
        self.size, self.fill = size, fill
        self.rows = np.flatnonzero((series >= 0) & (columns.step < size[1]))
        self.place = series[self.rows] * size[1] + columns.step[self.rows]
        sold = np.zeros(size, bool)
        sold.ravel()[self.place] = columns.observed[self.rows]
        self.inside = sold
        if fill:
            after = np.maximum.accumulate(sold[:, ::-1], axis=1)[:, ::-1]
            self.inside = np.maximum.accumulate(sold, axis=1) & after
        self.inside[:, columns.skipped[columns.skipped < size[1]]] = False
        self.latest = self._latest() if fill == "previous" else None

    def _latest(self) -> NDArray[np.int64]:
        """Of each step the latest one that has a row, as a place in its series."""
        there = np.zeros(self.size, bool)
        there.ravel()[self.place] = True
        steps = np.where(there | ~self.inside, np.arange(self.size[1]), 0)
        return np.maximum.accumulate(steps, axis=1)

    def lay(self, values: NDArray[np.float32], missing: float = 0) -> NDArray[np.float32]:
        """One column as float32 [S, T]; ``missing`` where a step has no row or its cell is empty."""
        laid = np.full(self.size, missing, np.float32)
        found = values[self.rows]
        laid.ravel()[self.place] = np.where(np.isnan(found), np.float32(missing), found)
        return laid if self.latest is None else np.take_along_axis(laid, self.latest, axis=1)

    def observed(self, columns: Columns) -> NDArray[np.float32]:
        """1 where what was sold is what was asked for."""
        if columns.available is None:
            return self.inside.astype(np.float32)
        return (self.inside & (self.lay(columns.numbers[columns.available], 1) > 0)).astype(np.float32)


def _kept(columns: Columns, series: int | None, rule: Subset) -> NDArray[np.int64]:
    if series is None or series >= len(columns.ids):
        return np.arange(len(columns.ids))
    observed, size = columns.observed, len(columns.ids)
    sold = np.where(observed, columns.y, 0)
    totals, counts = (
        np.bincount(columns.series, sold, size).astype(np.float64),
        np.bincount(columns.series, observed, size),
    )
    zeros = np.bincount(columns.series, observed & (columns.y == 0), size) / np.maximum(counts, 1)
    return subset.choose(totals, zeros, series, rule)
