"""What a trial is judged by: its values, and whether they keep within the constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nas.devices.measurement import Measurement
from nas.request import ACCURACIES, COSTS

Values = dict[str, float | None]


def costs(measurements: Iterable[Measurement]) -> Values:
    """Every cost by name; with several devices the worst of them, and None where one could not tell."""
    measured = list(measurements)
    values: Values = {}
    for name in COSTS:
        found = [measurement.metric(name) for measurement in measured]
        values[name] = None if None in found else max(value for value in found if value is not None)
    return values


def accuracies(overall: Mapping[str, float | None]) -> Values:
    """The accuracy metrics of a scorecard's overall row."""
    return {name: overall[name] for name in ACCURACIES}


def violations(limits: Mapping[str, float], values: Mapping[str, float | None]) -> dict[str, float]:
    """How far each known value lies beyond its limit, relative to the limit; at most 0 is within.

    A value of None never satisfies its constraint: it counts as 1, twice the limit. Limits on
    values that are not there yet (accuracy, before training) are left out.
    """
    found = {}
    for name, limit in limits.items():
        if name in values:
            value = values[name]
            found[name] = 1.0 if value is None else value / limit - 1.0
    return found


def undecided(limits: Mapping[str, float], measurement: Measurement) -> list[str]:
    """Constraints whose limit lies inside the measured 95 % interval: one more, longer look is needed."""
    unsure = []
    for name, limit in limits.items():
        if name in COSTS and (interval := measurement.interval(name)) and interval[0] <= limit < interval[1]:
            unsure.append(name)
    return unsure


def broken(violated: Mapping[str, float]) -> list[str]:
    """Names of the constraints that do not hold, the worst first."""
    return sorted((name for name, by in violated.items() if by > 0), key=lambda name: -violated[name])
