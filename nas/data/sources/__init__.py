"""Where sales come from. A source is a module with one verb: ``load(spec, cache) -> LongTable``.

The module is imported when it is asked for, and pandas with it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from nas.data.long_table import LongTable
from nas.request import DataSpec


class Source(Protocol):
    """Gives the long table that a spec asks for.

    The table is the same at every call with the same spec. Its rows may still be wrong:
    finding that out is the check's work, not the source's.
    """

    def load(self, spec: DataSpec, cache: Path) -> LongTable:
        """Load the table; what is costly to make may be kept in the folder ``cache``.

        Raises:
            DataError: There is no table to read.
            MissingExtra: The package that holds the data is not installed.
        """


def load(spec: DataSpec, cache: Path) -> LongTable:
    """Load the table from the source that ``spec`` names; see :class:`Source` for the errors."""
    source = cast("Source", import_module(f"{__name__}.{spec.source}"))
    return source.load(spec, cache)
