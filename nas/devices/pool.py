"""Identical boards as one: whose reference level strays from the others' is not measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

ENOUGH = 3
"""Boards without which nobody can tell who deviates."""
TOLERANCE = 0.05
"""Share of the median by which a board's level may differ."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A board that deviates from the others of its pool.

    Attributes:
        setting: ``RUNTIME/THREADS`` in which it does.
        reason: How far, as a part of a sentence.
    """

    setting: str
    reason: str


def deviating(levels: Mapping[str, Mapping[str, float]]) -> dict[str, Stray]:
    """Find the boards of a pool that deviate from the others.

    A board is hot, throttled, loaded or another model if the reference model takes another time there.

    Args:
        levels: Board -> ``RUNTIME/THREADS`` -> milliseconds of the reference model there; only like is compared.
    """
    found = {}
    for setting in sorted({setting for board in levels.values() for setting in board}):
        known = {name: board[setting] for name, board in levels.items() if setting in board}
        middle = median(known.values())
        for name, level in known.items():
            if len(known) >= ENOUGH and abs(level / middle - 1) > TOLERANCE:
                found[name] = Stray(
                    setting,
                    f"it takes {level:.4g} ms for the reference model ({setting}), {level / middle - 1:+.0%} against "
                    "the median of its pool, and is left out until it agrees again",
                )
    return found
