"""Distribution shift: whether the test part is like the validation part that chose the model.

The population stability index (Siddiqi, 2006; Yurdakul, 2018) sums (q − p)·ln(q / p) over tenths of the
validation part's values. By its users' rule of thumb, below 0.1 little has changed, and above 0.25 so much that a model
should be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.panel import Panel
from nas.data.split import Split

NOTABLE, LARGE = 0.1, 0.25
_BINS = 10
_LEAST = 1e-4
"""Share that an empty bin counts as, so that its logarithm is finite."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One quantity on both parts, observed steps only.

    Attributes:
        name: ``sales per step``, ``zero share``, ``promotion share``, or a future-known covariate.
        validation: Its mean there; None where nothing was observed.
        test: Likewise.
        psi: Population stability index; None for a share, whose mean says all.
    """

    name: str
    validation: float | None
    test: float | None
    psi: float | None


@dataclass(frozen=True, slots=True)
class Shift:
    """What changed from validation to test.

    Attributes:
        drifts: Sales, zeros, promotions and the future-known covariates.
        wapes: Candidate -> WAPE on validation and on test.
        warnings: Sentences; none where both parts tell the same.
    """

    drifts: tuple[Drift, ...]
    wapes: Mapping[str, tuple[float | None, float | None]]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "drifts": [asdict(drift) for drift in self.drifts],
            "wapes": {name: {"validation": pair[0], "test": pair[1]} for name, pair in self.wapes.items()},
            "warnings": list(self.warnings),
        }


def shift(panel: Panel, split: Split, wapes: Mapping[str, tuple[float | None, float | None]], winner: str) -> Shift:
    """Compare both parts, and where the winner stands among the candidates on each.

    Args:
        panel: The data.
        split: Which steps are validation, and which are the test.
        wapes: Candidate -> WAPE on validation and on test.
        winner: Which candidate was chosen.
    """
    cut = split.steps - split.test
    parts = slice(split.train_end, cut), slice(cut, split.steps)
    drifts = tuple(_drifts(panel, *parts))
    far = [drift for drift in drifts if drift.psi is not None and drift.psi > LARGE]
    warnings = [
        f"{drift.name} changed from {drift.validation:.4g} to {drift.test:.4g} (population stability index "
        f"{drift.psi:.2f}, above {LARGE}): what was chosen on validation may not hold."
        for drift in far
    ]
    return Shift(drifts, dict(wapes), (*warnings, *_order(wapes, winner)))


def stability_index(before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]) -> float | None:
    """Population stability index of two samples, [n] and [m]; None where one is empty."""
    if not (len(before) and len(after)):
        return None
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    p, q = (_shares(values, edges) for values in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def _drifts(panel: Panel, validation: slice, test: slice) -> list[Drift]:
    judged = [panel.mask[:, part] > 0 for part in (validation, test)]
    sales = [panel.y[:, part][seen] for part, seen in zip((validation, test), judged, strict=True)]
    found = [
        Drift("sales per step", _mean(sales[0]), _mean(sales[1]), stability_index(*sales)),
        Drift("zero share", _mean(sales[0] == 0), _mean(sales[1] == 0), None),
    ]
    covariates = [panel.futr[:, part][seen] for part, seen in zip((validation, test), judged, strict=True)]
    if panel.promotions:
        promoted = [np.asarray(each[:, list(panel.promotions)].max(axis=1) > 0) for each in covariates]
        found.append(Drift("promotion share", _mean(promoted[0]), _mean(promoted[1]), None))
    for column, name in enumerate(panel.futr_names):
        before, after = (each[:, column] for each in covariates)
        found.append(Drift(name, _mean(before), _mean(after), stability_index(before, after)))
    return found


def _order(wapes: Mapping[str, tuple[float | None, float | None]], winner: str) -> list[str]:
    """A warning where the winner's rank among the candidates known on both parts is not the same."""
    known = {name: pair for name, pair in wapes.items() if None not in pair}
    if winner not in known:
        return []
    ranks = [sorted(known, key=lambda name: (known[name][part], name != winner)).index(winner) for part in (0, 1)]
    if ranks[0] == ranks[1]:
        return []
    moved = (
        f"By WAPE the {winner.replace('_', ' ')} is number {ranks[0] + 1} of {len(known)} on validation and number "
        f"{ranks[1] + 1} on the test part: the order among the candidates does not hold."
    )
    return [moved]


def _shares(values: NDArray[np.floating[Any]], edges: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), _LEAST)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean(dtype=np.float64)) if len(values) else None
