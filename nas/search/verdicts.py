"""What to tell a user when no architecture meets the constraints: which one binds, and the nearest miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nas.architecture import Architecture
from nas.store.rows import Trial

HOPELESS_AFTER = 24
"""Trials without a single feasible one after which a search ends by itself."""


def hopeless(finished: Sequence[Trial]) -> bool:
    """Whether it is time to give up: many trials, and none of them within the constraints."""
    return len(finished) >= HOPELESS_AFTER and not any(trial.feasible for trial in finished)


def explanation(finished: Sequence[Trial], limits: Mapping[str, float]) -> str | None:
    """Why the front is empty, in one sentence; None while there is a feasible trial, or no trial at all."""
    if not finished or any(trial.feasible for trial in finished):
        return None
    judged = [trial for trial in finished if any(by > 0 for by in trial.violations.values())]
    if not judged:
        return f"None of {len(finished)} trials could be scored; the last one says: {finished[-1].reason}"
    counts = Counter(name for trial in judged for name, by in trial.violations.items() if by > 0)
    binding = max(counts, key=lambda name: (counts[name], min(_by(trial, name) for trial in judged)))
    nearest = min(judged, key=lambda trial: sum(max(by, 0.0) for by in trial.violations.values()))
    missed = ", ".join(
        f"{name} {text(nearest.values.get(name))} against {limits[name]:g}"
        for name, by in nearest.violations.items()
        if by > 0
    )
    return (
        f"No architecture met the constraints: {binding} <= {limits[binding]:g} was broken by {counts[binding]} of "
        f"{len(finished)} trials, and the nearest miss is trial {nearest.number} "
        f"({Architecture.from_dict(nearest.architecture)}) with {missed}; loosen that limit or offer smaller networks."
    )


def _by(trial: Trial, name: str) -> float:
    return trial.violations.get(name, 0.0)


def text(value: float | None) -> str:
    """A value as a sentence shows it."""
    return "not measurable" if value is None else f"{value:.4g}"
