"""Sales tables in files: CSV (UTF-8, commas, decimal points) and Parquet, read in batches."""

from __future__ import annotations

from pathlib import Path

from nas.data.csv_rows import CsvRows
from nas.data.parquet_rows import ParquetRows
from nas.data.rows import Rows
from nas.errors import DataError

_PARQUET = b"PAR1"
_FOREIGN = {
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"PK\x03\x04": "a zip archive or a spreadsheet; save the table as CSV or Parquet",
    b"\xff\xfe": "UTF-16 text; save it with UTF-8 encoding",
    b"\xfe\xff": "UTF-16 text; save it with UTF-8 encoding",
}


def open_rows(path: Path) -> Rows:
    """Open one file by its suffix, ``.csv`` or ``.parquet``; one without any by what is in it.

    Raises:
        DataError: The file is absent, empty, not readable, not UTF-8, or neither CSV nor Parquet.
    """
    suffix = path.suffix.lower()
    if suffix not in ("", ".csv", ".parquet"):
        raise DataError(f"{path} is neither .csv nor .parquet; give the sales table in one of these two formats.")
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a sales table, .csv or .parquet.")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); allow this user to read it.") from None
    if not head:
        raise DataError(f"{path} is empty; expected a header and one row per series and step: export it again.")
    for magic, says in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {says}.")
    parquet = head == _PARQUET
    if suffix and parquet != (suffix == ".parquet"):
        kinds = ("Parquet", "CSV") if parquet else ("not Parquet", "Parquet")
        raise DataError(f"{path} cannot be read as {kinds[1]} (it is {kinds[0]}); rename or replace it.")
    return ParquetRows.open(path) if parquet else CsvRows.open(path)
