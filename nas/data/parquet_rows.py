"""The rows of a Parquet file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # likewise

from nas.data.rows import BATCH, Batch
from nas.errors import DataError

_INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds, not the user


@dataclass(frozen=True, eq=False, slots=True)
class ParquetRows:
    """See :class:`nas.data.rows.Rows`."""

    path: Path
    names: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> ParquetRows:
        """Read the schema.

        Raises:
            DataError: It is not Parquet, or cut short.
        """
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from None
        names = tuple(name for name in schema.names if not _INDEX.fullmatch(name))
        texts = tuple(f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type))
        return cls(path, names, texts)

    def batches(self, columns: Sequence[str], wrong: list[tuple[int, str]]) -> Iterator[Batch]:  # noqa: ARG002 - of CSV
        """See :class:`nas.data.rows.Rows`. Texts stay dictionaries: a table repeats its names."""
        row = 2
        try:
            with pq.ParquetFile(self.path, read_dictionary=self.texts) as file:
                for part in file.iter_batches(batch_size=BATCH, columns=list(columns)):
                    places = {name: part.schema.names.index(name) for name in columns}
                    cells = {name: part.column(place) for name, place in places.items()}
                    yield Batch(np.arange(row, row + part.num_rows), cells)
                    row += part.num_rows
        except (pa.ArrowException, OSError, NotImplementedError) as error:
            raise _damaged(self.path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return DataError(f"{path} cannot be read as Parquet ({reason}); repair or replace it.")
