"""The Pareto front: the feasible trials that no other feasible trial beats in every objective."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.store.rows import Trial

WORST_MARGIN = 1.1
"""The reference point of the hypervolume lies 10 % beyond the worst feasible value of each objective."""


@dataclass(frozen=True, slots=True)
class Point:
    """One trial on the front, with every value that is known of it."""

    number: int
    architecture: dict[str, Any]
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Front:
    """The non-dominated trials, by the first objective.

    Attributes:
        objectives: Names, all to be minimised.
        points: The trials on the front.
        hypervolume: Volume that the front dominates up to ``reference``, or None when it is empty.
        reference: The reference point, or None when the front is empty.
        recommended: Number of the knee: the trial nearest to the best of everything.
    """

    objectives: tuple[str, ...]
    points: tuple[Point, ...]
    hypervolume: float | None
    reference: tuple[float, ...] | None
    recommended: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "objectives": list(self.objectives),
            "points": [{"number": p.number, "architecture": p.architecture, "values": p.values} for p in self.points],
            "hypervolume": self.hypervolume,
            "reference": None if self.reference is None else list(self.reference),
            "recommended": self.recommended,
        }


def front_of(trials: Iterable[Trial], objectives: Sequence[str]) -> Front:
    """The front of the feasible trials; one that was turned away, or never scored, has no place on it."""
    named = tuple(objectives)
    able = [t for t in trials if t.feasible and all(t.values.get(name) is not None for name in named)]
    if not able:
        return Front(named, (), None, None, None)
    costs = np.array([[t.values[name] for name in named] for t in able], dtype=float)
    reference = costs.max(axis=0) * WORST_MARGIN
    chosen = np.flatnonzero(moocore.is_nondominated(costs))
    chosen = chosen[np.lexsort(costs[chosen].T[::-1])]
    volume = float(moocore.hypervolume(costs[chosen], ref=reference))
    points = tuple(Point(able[i].number, able[i].architecture, able[i].values) for i in chosen)
    knee = points[_knee(costs[chosen])].number
    return Front(named, points, volume, tuple(map(float, reference)), knee)


def _knee(costs: NDArray[np.float64]) -> int:
    """The point nearest to the ideal one, each objective scaled to the front's own extent."""
    low, extent = costs.min(axis=0), np.ptp(costs, axis=0)
    scaled = (costs - low) / np.where(extent > 0, extent, 1.0)
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))
