"""Problems of a table: counted by kind, and the first of them spelled out with row and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError

LISTED = 20
"""So many problems are spelled out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Every problem is counted by its kind; the first ones of each kind are spelled out.

    Attributes:
        counts: How many of each kind.
        texts: Row (0: the table as a whole) and text of the first ones of each kind, in the order of the file.
    """

    counts: dict[str, int] = field(default_factory=dict)
    texts: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def table(self, kind: str, text: str) -> None:
        """A problem of the table as a whole."""
        self._add(kind, 1, [(0, text)])

    def rows(
        self, kind: str, column: str, at: NDArray[np.int64], row: NDArray[np.integer], say: Callable[[int], str]
    ) -> None:
        """A problem of some rows.

        Args:
            kind: What they have in common.
            column: The column that is wrong.
            at: Positions of these rows.
            row: The row in the file, of every position.
            say: Words it for one position.
        """
        first = at[np.argpartition(row[at], LISTED)[:LISTED]] if len(at) > LISTED else at
        shown = sorted((int(row[position]), int(position)) for position in first)
        self._add(kind, len(at), [(place, f"row {place}, column {column}: {say(i)}") for place, i in shown])

    def _add(self, kind: str, count: int, texts: list[tuple[int, str]]) -> None:
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            known = [*self.texts.get(kind, ()), *texts]
            self.texts[kind] = sorted(known, key=lambda found: found[0])[:LISTED]

    def problems(self) -> tuple[str, ...]:
        """The first problems of each kind, in the order of the file, then how many more there are."""
        turns = chain.from_iterable(zip_longest(*self.texts.values()))
        chosen = [found for found in turns if found is not None][:LISTED]
        shown = [text for _, text in sorted(chosen, key=lambda found: found[0])]
        more = sum(self.counts.values()) - len(shown)
        return (*shown, f"and {more:,} more") if more else tuple(shown)

    def raise_any(self) -> None:
        """Raise one DataError for all problems together, if there are any."""
        if self.counts:
            kinds = ", ".join(f"{count:,} × {kind}" for kind, count in self.counts.items())
            raise DataError(
                f"The data set cannot be used ({kinds}); expected one row per series and step without such problems: "
                f"repair those listed, the first being: {self.problems()[0]}.",
                self.problems(),
            )
