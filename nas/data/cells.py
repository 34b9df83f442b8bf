"""Arrow cells -> codes of names, and numbers: no Python per row, only per distinct text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise
from numpy.typing import NDArray

from nas.data.rows import Cells

FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False, slots=True)
class Names:
    """Texts numbered in the order in which they are first met, over all batches."""

    places: dict[str, int] = field(default_factory=dict)

    def codes(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """The number of each text; -1 for the empty one."""
        places = self.places
        return np.array([places.setdefault(text, len(places)) if text else -1 for text in texts], np.int32)

    def read(self, cells: Cells) -> NDArray[np.int32]:
        """The number of each cell's text, spaces around it left out; -1 where there is none."""
        at, values = distinct(cells)
        return take(self.codes([str(value).strip() for value in values]), at, -1)

    def joined(self, columns: Sequence[Cells]) -> NDArray[np.int32]:
        """Like :meth:`read` for names made of several columns, joined with ``/``; -1 where a part is missing."""
        if len(columns) == 1:
            return self.read(columns[0])
        parts, texts = [], []
        for cells in columns:
            part = Names()
            parts.append(part.read(cells))
            texts.append(list(part.places))
        key = np.ravel_multi_index([part + 1 for part in parts], [len(words) + 1 for words in texts])
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
        names = [
            [words[part[row]] if part[row] >= 0 else "" for part, words in zip(parts, texts, strict=True)]
            for row in first
        ]
        return self.codes(["/".join(name) if all(name) else "" for name in names])[which]


def distinct(cells: Cells) -> tuple[NDArray[np.int64], list[Any]]:
    """The distinct values of some cells, and for each cell the place of its value; -1 where there is none."""
    if not pa.types.is_dictionary(cells.type):
        kind = cells.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            cells = pa.array([None if value is None else str(value) for value in cells.to_pylist()], pa.string())
        cells = cells.dictionary_encode()
    at = pc.fill_null(cells.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = cells.dictionary.to_pylist()
    empty = np.array([value is None for value in values], bool)
    return (np.where(take(empty, at, True), -1, at) if empty.any() else at), ["" if v is None else v for v in values]


def take(values: NDArray[Any], at: NDArray[np.int64], otherwise: Any) -> NDArray[Any]:
    """``values[at]``, and ``otherwise`` where ``at`` is -1."""
    return np.append(values, np.array([otherwise], values.dtype))[at]


def numbers(cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers, NaN where there is none, and where a cell is empty; a text that is no number is not empty."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells, kind = cells.dictionary_decode(), kind.value_type
    if pa.types.is_boolean(kind):
        cells = cells.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return _texts(cells)
    values = pc.fill_null(cells.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    return values, np.isnan(values)


def _texts(cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    empty = cells.is_null().to_numpy(zero_copy_only=False)
    try:
        values = pc.fill_null(cells.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        at, found = distinct(cells)
        values = take(np.array([_number(str(value)) for value in found], np.float64), at, np.nan)
    return values, empty


def _number(text: str) -> float:
    """A plain number; Python's own ``1_000`` is none."""
    try:
        return float("nan" if "_" in text else text)
    except ValueError:
        return float("nan")
