"""Problems of a table: counted by kind, and the first of them spelled out with row and column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError

LISTED = 20
"""So many problems are spelled out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Every problem is counted by its kind; the first ones of each kind are spelled out."""

    counts: dict[str, int] = field(default_factory=dict)
    texts: list[tuple[int, str]] = field(default_factory=list)

    def table(self, kind: str, text: str) -> None:
        """A problem of the table as a whole."""
        self._add(kind, 1, [(0, text)])

    def rows(self, kind: str, column: str, at: NDArray[np.int64], say: Callable[[int], str]) -> None:
        """A problem of the rows at these positions; ``say`` words it for one of them."""
        shown = [int(position) for position in np.sort(at)[:LISTED]]
        texts = [(position + 2, f"row {position + 2}, column {column}: {say(position)}") for position in shown]
        self._add(kind, len(at), texts)

    def _add(self, kind: str, count: int, texts: list[tuple[int, str]]) -> None:
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.texts.extend(texts)

    def problems(self) -> tuple[str, ...]:
        """The first problems in the order of the file, then how many more there are."""
        shown = [text for _, text in sorted(self.texts, key=lambda found: found[0])[:LISTED]]
        more = sum(self.counts.values()) - len(shown)
        return (*shown, f"and {more:,} more") if more else tuple(shown)

    def raise_any(self) -> None:
        """Raise one DataError for all problems together, if there are any."""
        if self.counts:
            kinds = ", ".join(f"{count:,} × {kind}" for kind, count in self.counts.items())
            raise DataError(
                f"The data set cannot be used ({kinds}); expected one row per series and day without such problems: "
                f"repair those listed, the first being: {self.problems()[0]}.",
                self.problems(),
            )
