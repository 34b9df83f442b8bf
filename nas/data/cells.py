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


@dataclass(eq=False, slots=True)
class Names:
    """Texts numbered in the order in which they are first met, over all batches."""

    places: dict[str, int] = field(default_factory=dict)
    _seen: Any = None
    _codes: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def read(self, cells: Cells) -> NDArray[np.int32]:
        """The number of each cell's text, spaces around it left out; -1 where there is none."""
        at, values = distinct(cells)
        if self._seen is None or not values.equals(self._seen):  # batch after batch repeats the same names
            places = self.places
            texts = ["" if value is None else str(value).strip() for value in values.to_pylist()]
            self._codes = np.array([places.setdefault(t, len(places)) if t else -1 for t in texts], np.int32)
            self._seen = values
        return take(self._codes, at, -1)

    def ranked(self) -> tuple[NDArray[np.int32], list[str]]:
        """For each number its place among the texts in their order, and these."""
        texts = sorted(self.places)
        rank = np.empty(len(texts), np.int32)
        rank[[self.places[text] for text in texts]] = np.arange(len(texts))
        return rank, texts


@dataclass(eq=False, slots=True)
class JoinedNames:
    """Names made of one or several columns, joined with ``/``; numbered as :class:`Names` are."""

    parts: list[Names]
    names: Names = field(default_factory=Names)
    _keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _codes: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def read(self, columns: Sequence[Cells]) -> NDArray[np.int32]:
        """The number of each row's name; -1 where a part of it is missing."""
        if len(columns) == 1:
            return self.names.read(columns[0])
        codes = [part.read(cells) for part, cells in zip(self.parts, columns, strict=True)]
        width = 63 // len(codes)  # bits for each part: two parts of two thousand million names
        key = np.zeros(len(codes[0]), np.int64)
        for code in codes:
            key = (key << width) | (code + 1)
        at = np.minimum(np.searchsorted(self._keys, key), max(len(self._keys) - 1, 0))
        new = self._keys[at] != key if len(self._keys) else np.ones(len(key), bool)
        if new.any():
            self._learn(*np.unique(key[new], return_index=True), np.flatnonzero(new), codes)
            at = np.searchsorted(self._keys, key)
        return self._codes[at]

    def _learn(
        self, keys: NDArray[np.int64], first: NDArray[np.int64], rows: NDArray[np.int64], codes: list[NDArray[np.int32]]
    ) -> None:
        words = [list(part.places) for part in self.parts]
        places = self.names.places
        numbers = []
        for row in rows[first].tolist():
            name = [text[code[row]] if code[row] >= 0 else "" for text, code in zip(words, codes, strict=True)]
            numbers.append(places.setdefault("/".join(name), len(places)) if all(name) else -1)
        order = np.argsort(np.concatenate([self._keys, keys]), kind="stable")
        self._keys = np.concatenate([self._keys, keys])[order]
        self._codes = np.concatenate([self._codes, np.array(numbers, np.int32)])[order]


def distinct(cells: Cells) -> tuple[NDArray[np.int64], Cells]:
    """For each cell the place of its value among the distinct ones, -1 where there is none, and these."""
    if not pa.types.is_dictionary(cells.type):
        kind = cells.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            cells = pa.array([None if value is None else str(value) for value in cells.to_pylist()], pa.string())
        cells = cells.dictionary_encode()
    at = pc.fill_null(cells.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = cells.dictionary
    if values.null_count:
        at = np.where(take(values.is_null().to_numpy(zero_copy_only=False), at, True), -1, at)
    return at, values


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
        values = take(np.array([_number(str(value)) for value in found.to_pylist()], np.float64), at, np.nan)
    return values, empty


def _number(text: str) -> float:
    """A plain number; Python's own ``1_000`` is none."""
    try:
        return float("nan" if "_" in text else text)
    except ValueError:
        return float("nan")
