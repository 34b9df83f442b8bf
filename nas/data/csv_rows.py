"""The rows of a CSV file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from nas.data.rows import Batch
from nas.errors import DataError

_BLOCK = 1 << 24
_HEAD = 1 << 16
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, eq=False, slots=True)
class CsvRows:
    """See :class:`nas.data.rows.Rows`. Every cell is text: an id such as 007 keeps its zeros, "NA" is a name."""

    path: Path
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> CsvRows:
        """Read the header.

        Raises:
            DataError: There is none, or not in UTF-8 and with commas.
        """
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if b"\0" in head:
            raise DataError(f"{path} holds NUL bytes, which text does not; save it again as CSV with UTF-8 encoding.")
        line = head.splitlines()[0] if head.strip() else b""
        try:
            header = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _not_utf8(path) from None
        names = next(csv.reader([header]), [])
        if len(names) < 2:
            for mark, called in _SEPARATORS.items():
                if mark in header:
                    raise DataError(
                        f"{path} is separated by {called}, expected commas and decimal points; save it again so, or "
                        "as Parquet."
                    )
        if not any(name.strip() for name in names) or any(_DATE.match(name.strip()) for name in names):
            raise DataError(f"{path} has no header in row 1, expected the names of its columns there; add them.")
        return cls(path, tuple(name.strip() for name in names))

    def batches(self, columns: Sequence[str], wrong: list[tuple[int, str]]) -> Iterator[Batch]:
        """See :class:`nas.data.rows.Rows`. Blank lines count as rows, but not at the end."""
        places = [str(self.names.index(name)) for name in columns] or ["0"]  # none would be read as all
        skipped: list[int] = []

        def skip(row: Any) -> str:
            skipped.append(row.number)
            says = f"there are {row.actual_columns} cells, the header has {row.expected_columns}; "
            remedy = (
                "a quote is never closed" if "\n" in row.text else 'mend it, and put names with commas into "quotes"'
            )
            wrong.append((row.number, says + remedy))
            return "skip"

        pending: list[Batch] = []
        first = 0
        for part in self._parts(places, skip):
            count = part.num_rows
            row = np.arange(first + 2, first + 2 + count)
            if skipped:
                row = _counted(row, skipped)
            first += count
            batch = Batch(row, dict(zip(columns, part.columns, strict=False)))
            last = _last_filled(part)
            if last < 0:
                pending.append(batch)
                continue
            yield from pending
            yield _cut(batch, 0, last + 1)
            pending = [_cut(batch, last + 1, count)] if last + 1 < count else []

    def _parts(self, places: list[str], skip: Any) -> Iterator[Any]:
        try:
            yield from arrow_csv.open_csv(
                self.path,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,  # only then a wrong row knows its number
                    block_size=_BLOCK,
                    skip_rows=1,
                    column_names=[str(place) for place in range(len(self.names))],
                ),
                parse_options=arrow_csv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    include_columns=places,
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowException as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            if "Empty CSV" in reason:
                return
            if "UTF8" in reason:
                raise _not_utf8(self.path) from None
            raise DataError(
                f"{self.path} cannot be read as CSV ({reason}); look for a quote that is never closed."
            ) from None


def _counted(row: NDArray[np.int64], skipped: list[int]) -> NDArray[np.int64]:
    """Rows as the file counts them, where those before have lost the ``skipped`` ones."""
    boundary = np.array(skipped) - np.arange(len(skipped))
    return row + np.searchsorted(boundary, row, "right")


def _last_filled(part: Any) -> int:
    """The last row with anything in it; -1 if there is none."""
    filled = np.zeros(part.num_rows, bool)
    for cells in part.columns:
        filled |= pc.is_valid(cells).to_numpy(zero_copy_only=False)
        if filled[-1:].all():
            break
    return int(np.flatnonzero(filled)[-1]) if filled.any() else -1


def _cut(batch: Batch, first: int, last: int) -> Batch:
    if first == 0 and last == len(batch.row):
        return batch
    return Batch(batch.row[first:last], {name: cells[first:last] for name, cells in batch.cells.items()})


def _not_utf8(path: Path) -> DataError:
    """Which row it is that is not UTF-8."""
    with path.open("rb") as file:
        for row, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return DataError(
                    f"{path} is not UTF-8 in row {row}, byte {error.start + 1}; save it again with UTF-8 encoding."
                )
    return DataError(f"{path} is not UTF-8; save it again with UTF-8 encoding.")
