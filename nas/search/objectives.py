"""What a trial is judged by: its values, and whether they keep within the constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nas.data.scorecard import Scorecard
from nas.data.slices import named
from nas.devices.measurement import Measurement
from nas.metric import ACCURACIES, COSTS, Metric, split

Values = dict[str, float | None]


def costs(measurements: Mapping[str, Measurement]) -> Values:
    """Every cost by name: the worst of all devices, and with several of them each one's own as ``name@device``.

    The worst is None where one device could not tell.
    """
    values: Values = {}
    for name in COSTS:
        found = {device: measurement.metric(name) for device, measurement in measurements.items()}
        known = [value for value in found.values() if value is not None]
        values[name] = max(known) if len(known) == len(found) else None
        if len(found) > 1:
            values |= {f"{name}@{device}": value for device, value in found.items()}
    return values


def accuracies(card: Scorecard, names: Iterable[str]) -> Values:
    """The accuracies of a scorecard: all of the whole, and those of slices that are named."""
    sliced = [metric for metric in map(Metric.parse, names) if metric.slicing is not None]
    whole: Values = {name: card.overall.get(name) for name in ACCURACIES}
    return whole | {str(metric): named(card.slices, metric) for metric in sliced}


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


def undecided(limits: Mapping[str, float], device: str, measurement: Measurement) -> list[str]:
    """Constraints on a device whose limit lies inside the measured 95 % interval: one longer look is needed.

    A limit on the worst of all devices holds for each of them.
    """
    unsure = []
    for name, limit in limits.items():
        metric, of = split(name)
        if metric not in COSTS or of not in (None, device):
            continue
        if (interval := measurement.interval(metric)) and interval[0] <= limit < interval[1]:
            unsure.append(name)
    return unsure


def broken(violated: Mapping[str, float]) -> list[str]:
    """Names of the constraints that do not hold, the worst first."""
    return sorted((name for name, by in violated.items() if by > 0), key=lambda name: -violated[name])
