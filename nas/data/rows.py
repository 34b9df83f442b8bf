"""Rows of a table as Arrow arrays, a batch at a time: what files and data frames have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

BATCH = 1 << 20
"""Rows that lie in memory as text at a time."""
Cells: TypeAlias = Any
"""A ``pyarrow.Array``; pyarrow ships no types."""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Some consecutive rows.

    Attributes:
        row: int64 [B], the row of the file, counted from its header, which is row 1.
        cells: One Arrow array of B cells for each column that was asked for and is there.
    """

    row: NDArray[np.int64]
    cells: Mapping[str, Cells]


@runtime_checkable
class Rows(Protocol):
    """A table's rows, readable again and again."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in the order of the file; a name may be there twice."""

    def batches(self, columns: Sequence[str], wrong: list[tuple[int, str]]) -> Iterator[Batch]:
        """Read these columns (of equal names the first), batch by batch.

        Args:
            columns: Names that are all there.
            wrong: Rows that cannot be read as such are left out, and appended here with what is wrong.

        Raises:
            DataError: The file is damaged as a whole.
        """


@dataclass(frozen=True, eq=False, slots=True)
class FrameRows:
    """The rows of a data frame."""

    frame: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """See :class:`Rows`."""
        return tuple(str(name) for name in self.frame.columns)

    def batches(self, columns: Sequence[str], wrong: list[tuple[int, str]]) -> Iterator[Batch]:  # noqa: ARG002 - of files
        """See :class:`Rows`."""
        places = [self.names.index(name) for name in columns]
        for first in range(0, len(self.frame), BATCH):
            part = self.frame.iloc[first : first + BATCH]
            cells = {name: _cells(part.iloc[:, place]) for name, place in zip(columns, places, strict=True)}
            yield Batch(np.arange(first + 2, first + 2 + len(part)), cells)


def _cells(column: pd.Series[Any]) -> Cells:
    """One column; objects of mixed types become texts, each by itself."""
    if column.dtype.kind not in "biufMUT" and str(column.dtype) != "str":
        missing = column.isna().to_numpy(bool)
        texts = [None if gone else str(value) for value, gone in zip(column, missing, strict=True)]
        return pa.array(texts, pa.string())
    cells = pa.array(column, from_pandas=False if column.dtype.kind == "f" else None)
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
