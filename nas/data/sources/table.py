"""A user's own sales table: CSV (UTF-8) or Parquet."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from nas.data.long_table import LongTable
from nas.errors import DataError
from nas.request import DataSpec


def load(spec: DataSpec, cache: Path) -> LongTable:  # noqa: ARG001 - a file is read where it lies
    """Read the file ``spec.path``; its columns are what ``spec`` says they are.

    Raises:
        DataError: The file is absent, not readable, not UTF-8, or neither CSV nor Parquet.
    """
    return LongTable(read(Path(spec.path or "")), spec.hist, spec.futr, spec.stat, spec.ignore)


def read(path: Path) -> pd.DataFrame:
    """Read one file by its suffix, ``.csv`` or ``.parquet``; see :func:`load` for the errors."""
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path} is neither .csv nor .parquet; give the sales table in one of these two formats.")
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a sales table, .csv or .parquet.")
    try:
        return readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (at byte {error.start}); save it again with UTF-8 encoding.") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty; expected a header and one row per series and day.") from error
    except (ValueError, OSError, NotImplementedError, pd.errors.ParserWarning) as error:  # pandas' and arrow's
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path} cannot be read as {path.suffix[1:].upper()} ({reason}); repair or replace it."
        ) from error


def _read_csv(path: Path) -> pd.DataFrame:
    """Only an empty field is missing: "NA" is a name, and an id such as 007 keeps its zeros.

    Blank lines are kept, so that row numbers are the file's; only those at its end are dropped.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header: refuse, do not cut
        frame = pd.read_csv(
            path,
            encoding="utf-8-sig",  # spreadsheets write a byte order mark
            dtype={"unique_id": str, "ds": str},
            keep_default_na=False,
            na_values=[""],
            index_col=False,
            low_memory=False,
            skip_blank_lines=False,
        )
    filled = frame.index[frame.notna().any(axis=1)]
    return frame.loc[: filled[-1]] if len(filled) else frame.iloc[:0]
