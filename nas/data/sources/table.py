"""A user's own sales table: CSV (UTF-8) or Parquet."""

from __future__ import annotations

from pathlib import Path

from nas.data.files import open_rows
from nas.data.long_table import LongTable
from nas.request import DataSpec


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - a file is read where it lies
    """The file ``spec.path``; see :func:`described`."""
    return described(Path(spec.path or ""), spec)


def described(path: Path, spec: DataSpec) -> LongTable:
    """A file whose columns are what ``spec`` says they are; its rows are read when they are checked.

    Raises:
        DataError: The file is absent, not readable, not UTF-8, or neither CSV nor Parquet.
    """
    return LongTable(
        open_rows(path),
        hist=spec.hist,
        futr=spec.futr,
        stat=spec.stat,
        ignore=spec.ignore,
        open=spec.open,
        available=spec.available,
        keys=spec.columns,
        freq=spec.freq,
        timezone=spec.timezone,
        holidays=spec.holidays,
    )
