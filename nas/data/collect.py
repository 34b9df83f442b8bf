"""Every cell of a table read once, batch by batch, into plain arrays; each that cannot be read is a finding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data import times
from nas.data.cells import FLOAT32_MAX, JoinedNames, Names, numbers
from nas.data.findings import Findings
from nas.data.long_table import LongTable
from nas.data.rows import Batch, Cells, FrameRows, Rows
from nas.data.times import NO_TIME

_LENGTH = 500
"""A longer name comes from a quote that is never closed."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffd]")


@dataclass(frozen=True, eq=False, slots=True)
class Raw:
    """The rows that have a series and a time, N of them, in the order of the file.

    Attributes:
        total: How many rows the table has.
        ids: The series by name; some may have lost all their rows.
        row: int32 [N], row in the file.
        series: int32 [N], position in ``ids``.
        minute: int32 [N], minutes since 1970-01-01 00:00 on the stores' clock.
        y: float32 [N], NaN where there is none.
        numbers: The other columns of numbers, float32 [N] each, NaN where there is none.
        words: The static covariates by name, one text per series.
    """

    total: int
    ids: list[str]
    row: NDArray[np.int32]
    series: NDArray[np.int32]
    minute: NDArray[np.int32]
    y: NDArray[np.float32]
    numbers: dict[str, NDArray[np.float32]]
    words: dict[str, list[str]]


def collect(table: LongTable, found: Findings) -> Raw:
    """Read a table; see :class:`Raw`."""
    rows = table.frame if isinstance(table.frame, Rows) else FrameRows(table.frame)
    present = _named(table, rows, found)
    ids, total = JoinedNames([Names() for _ in table.ids]), 0
    wrong: list[tuple[int, str]] = []
    statics = {name: _Static(name) for name in table.stat if name in present}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("row", "series", "minute", "y", *table.numbers)}
    for batch in rows.batches(present, wrong):
        total += len(batch.row)
        series = _series(table, batch, ids, found)
        minute = _times(table, batch, found)
        values = {"y": _numbers(batch, table.keys.y, found, "take returns out", np.nan)}
        for name in table.numbers:
            remedy = "give 0 where there is none" if name in (table.open, table.available) else None
            values[name] = _numbers(batch, name, found, remedy)
        for static in statics.values():
            static.read(batch, series, found)
        kept = (series >= 0) & (minute != NO_TIME)
        whole = bool(kept.all())
        for name, array in {"row": batch.row.astype(np.int32), "series": series, "minute": minute, **values}.items():
            parts[name].append(array if whole else array[kept])
    for row, says in wrong:
        found.rows("unreadable row", "–", np.zeros(1, int), np.array([row]), _saying(says))
    total += len(wrong)
    if not total:
        found.table("empty table", "the table has no rows, expected one per series and step; give some")
    _odd_names(table, ids.names, found)
    rank, names = ids.names.ranked()
    first = {name: _joined(parts.pop(name), np.int32) for name in ("row", "series", "minute")}
    first["series"] = rank[first["series"]]
    numbers_ = {name: _joined(parts.pop(name), np.float32) for name in list(parts)}
    words = {name: statics[name].words(rank) for name in statics}
    return Raw(total, names, **first, y=numbers_.pop("y"), numbers=numbers_, words=words)


def _saying(text: str) -> Callable[[int], str]:
    return lambda _: text


def _joined(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    joined = np.concatenate(parts) if parts else np.zeros(0, kind)
    parts.clear()
    return joined


def _named(table: LongTable, rows: Rows, found: Findings) -> list[str]:
    """The promised columns that are there, and findings for the others."""
    present = rows.names
    for name in dict.fromkeys(name for name in present if present.count(name) > 1):
        found.table("duplicate column", f"column {name} is there more than once; keep one")
    for name in table.columns:
        if name not in present:
            found.table("missing column", f"column {name} is missing; the table has {_list(present)}: name it as there")
    for name in dict.fromkeys(present):
        if name not in {*table.columns, *table.ignore}:
            says = f"column {name} is not named under hist, futr or stat; name it or list it under ignore"
            found.table("unnamed column", says)
    return [name for name in table.columns if name in present]


def _list(names: Iterable[str]) -> str:
    texts = list(names)
    return ", ".join(texts[:10]) + (f" and {len(texts) - 10} more" if len(texts) > 10 else "") or "none"


def _series(table: LongTable, batch: Batch, ids: JoinedNames, found: Findings) -> NDArray[np.int32]:
    if not set(table.ids) <= batch.cells.keys():
        return np.full(len(batch.row), -1, np.int32)
    series = ids.read([batch.cells[name] for name in table.ids])
    at = np.flatnonzero(series < 0)
    found.rows("missing id", "/".join(table.ids), at, batch.row, lambda _: "the series has no name; give it one")
    return series


def _times(table: LongTable, batch: Batch, found: Findings) -> NDArray[np.int32]:
    name = table.keys.ds
    if name not in batch.cells:
        return np.full(len(batch.row), NO_TIME, np.int32)
    cells = batch.cells[name]
    read = times.read(cells, table.timezone)
    found.rows(
        "unreadable date",
        name,
        np.flatnonzero(read.minute == NO_TIME),
        batch.row,
        lambda at: f"{_shown(cells, at)} is not a date of 1900 to 2199, expected one like 2024-03-31; write it so",
    )
    if read.zoned.any() and table.timezone is None:
        says = "says its offset from UTC; name the stores' own zone as timezone, so that it can be told by their clock"
        at = np.flatnonzero(read.zoned)
        found.rows("time with an offset", name, at, batch.row, lambda i: f"{_shown(cells, i)} {says}")
    elif read.zoned.any() and not read.zoned.all():
        says = "says no offset from UTC, others do; write all of them alike"
        at = np.flatnonzero(~read.zoned & (read.minute != NO_TIME))
        found.rows("time without an offset", name, at, batch.row, lambda i: f"{_shown(cells, i)} {says}")
    return read.minute


def _shown(cells: Cells, at: int) -> str:
    value = cells[at].as_py()
    text = "" if value is None else str(value)
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _numbers(batch: Batch, name: str, found: Findings, remedy: str | None, absent: float = 0) -> NDArray[np.float32]:
    """Numbers in 32 bits; ``remedy`` says what to do with negative ones, where these are wrong."""
    if name not in batch.cells:  # which is one finding, not one for each row
        return np.full(len(batch.row), absent, np.float32)
    cells = batch.cells[name]
    values, empty = numbers(cells)

    def report(kind: str, bad: NDArray[np.bool_], says: str) -> None:
        found.rows(kind, name, np.flatnonzero(bad), batch.row, lambda at: f"{_shown(cells, at)} {says}")

    words, large = ~empty & np.isnan(values), np.abs(values) > FLOAT32_MAX
    plain = "is not a number, expected digits with a decimal point and no separator of thousands; write it so"
    report("not a number", words, plain)
    report("infinite number", large, "is not finite in 32 bits; give the real number")
    if remedy:
        report("negative number", ~large & (values < 0), f"is negative, expected 0 or more; {remedy}")
    return np.where(words | large, 0, values).astype(np.float32)


@dataclass(eq=False, slots=True)
class _Static:
    """A static covariate: the first text of each series, and whether the others agree."""

    name: str
    texts: Names = field(default_factory=Names)
    code: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    row: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    varied: set[int] = field(default_factory=set)

    def read(self, batch: Batch, series: NDArray[np.int32], found: Findings) -> None:
        codes = self.texts.read(batch.cells[self.name])
        empty = np.flatnonzero(codes < 0)
        found.rows("missing static value", self.name, empty, batch.row, lambda _: "there is no value; give one")
        known = np.flatnonzero((series >= 0) & (codes >= 0))
        if len(known) and (size := int(series.max()) + 1) > len(self.code):
            more = max(size, 2 * len(self.code)) - len(self.code)
            self.code = np.append(self.code, np.full(more, -1, np.int32))
            self.row = np.append(self.row, np.zeros(more, np.int64))
        new = known[self.code[series[known]] < 0]
        here, first = np.unique(series[new], return_index=True)
        self.code[here], self.row[here] = codes[new[first]], batch.row[new[first]]
        other = known[codes[known] != self.code[series[known]]]
        where, first = np.unique(series[other], return_index=True)
        fresh = np.array([place not in self.varied for place in where.tolist()], bool)
        self.varied.update(where.tolist())
        words = list(self.texts.places)
        found.rows(
            "static value that varies",
            self.name,
            other[first[fresh]] if len(other) else other,
            batch.row,
            lambda at: (
                f"{words[codes[at]]!r} differs from {words[self.code[series[at]]]!r} in row "
                f"{self.row[series[at]]} of the same series; keep one of the two"
            ),
        )

    def words(self, rank: NDArray[np.int32]) -> list[str]:
        """The text of each series in the order of ``rank``; empty where it has none."""
        words, code = [*self.texts.places, ""], np.full(len(rank), -1)
        known = self.code[: len(rank)]
        code[rank[: len(known)]] = known
        return [words[place] for place in code.tolist()]


def _odd_names(table: LongTable, ids: Names, found: Findings) -> None:
    """Names that no person wrote."""
    for name in ids.places:
        if len(name) > _LENGTH or _CONTROL.search(name):
            shown = repr(name[:60] + ("…" if len(name) > 60 else ""))
            says = "is no name: it holds line breaks or control characters, or a quote is never closed; mend it"
            found.table("unreadable id", f"column {'/'.join(table.ids)}: {shown} {says}")
