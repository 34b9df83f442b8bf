"""From rounds of samples to percentiles and a paired ratio that say how sure they are.

Noise has levels (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013,
sections 5 and 7): inferences within a round share a moment, rounds within a launch share a
process with its memory layout, and launches share the device. An interval made of inferences
alone would be far too narrow. So each interval here is the wider of two:

* a bootstrap that resamples whole rounds, for what changes from moment to moment;
* Student's t over launches, for what changes from process to process. Few launches may agree
  by chance, so their spread counts as ``LEAST_SPREAD`` at least.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from device_agents.percentiles import FLOORS, quantile

LEAST_SPREAD = 0.0025
"""Relative standard deviation between launches; a fresh process's memory layout alone makes about this much."""
REPLICATES = 200
_EDGES = 64
_T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131]
"""Two-sided 95 % quantiles of Student's t for 1 to 15 degrees of freedom; then 1.96 + 2.6 / df is within 0.3 %."""


class Round(NamedTuple):
    """What one A-B-B-A round saw: every sample of the candidate, and the reference's median, in nanoseconds."""

    samples: List[int]
    reference: Optional[float]


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """The longer side of the interval as a share of the value."""
        return max(self.value - self.low, self.high - self.value) / self.value


Launch = List[Round]


def percentile(launches: Sequence[Launch], name: str) -> Optional[Estimate]:
    """Estimate ``p50``, ``p90``, ``p95`` or ``p99`` in nanoseconds; None below its floor of samples."""
    q, floor = FLOORS[name]
    ordered = sorted(sample for launch in launches for round_ in launch for sample in round_.samples)
    if len(ordered) < floor:
        return None
    value = quantile(ordered, q)
    by_launch = [quantile(sorted(s for round_ in launch for s in round_.samples), q) for launch in launches]
    rounds = [sorted(round_.samples) for launch in launches for round_ in launch]
    return _widened(value, _resampled_quantile(rounds, ordered, q), _between(by_launch))


def ratio(launches: Sequence[Launch]) -> Optional[Estimate]:
    """Estimate the candidate's median over the reference's, paired within each round; None without a reference."""
    paired = [
        [quantile(sorted(r.samples), 0.5) / r.reference for r in launch if r.reference and r.samples]
        for launch in launches
    ]
    paired = [ratios for ratios in paired if ratios]
    if not paired:
        return None
    by_launch = [median(ratios) for ratios in paired]
    value = math.exp(sum(map(math.log, by_launch)) / len(by_launch))
    flat = [one for ratios in paired for one in ratios]
    center = median(flat)
    spread = [replicate / center * value for replicate in _resampled(flat, median)]
    return _widened(value, spread, _between(by_launch))


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def to_ms(estimate: Optional[Estimate]) -> Optional[Dict[str, Any]]:
    """Return ``{"ms", "interval": [low, high]}`` of an estimate in nanoseconds, as a reply carries it."""
    if estimate is None:
        return None
    return {"ms": estimate.value / 1e6, "interval": [estimate.low / 1e6, estimate.high / 1e6]}


def _widened(value: float, replicates: List[float], between: float) -> Estimate:
    """The interval of the replicates, on each side at least as wide as the launches say."""
    ordered = sorted(replicates) or [value]
    low, high = ordered[int(0.025 * (len(ordered) - 1))], ordered[math.ceil(0.975 * (len(ordered) - 1))]
    return Estimate(value, min(low, value / (1 + between)), max(high, value * (1 + between)))


def _between(by_launch: Sequence[float]) -> float:
    """Return half the width of the t interval over launches, as a share; a single one counts as two that agree."""
    logs = [math.log(max(one, 1.0e-9)) for one in by_launch]
    count, mean = len(logs), sum(logs) / len(logs)
    freedom = max(1, count - 1)
    spread = max(LEAST_SPREAD, math.sqrt(sum((one - mean) ** 2 for one in logs) / freedom))
    t = _T95[freedom - 1] if freedom <= len(_T95) else 1.96 + 2.6 / freedom
    return math.exp(t * spread / math.sqrt(count)) - 1


def _resampled(values: Sequence[float], statistic: Callable[[Sequence[float]], float]) -> List[float]:
    generator = random.Random(0)  # the same samples give the same interval
    return [statistic(generator.choices(values, k=len(values))) for _ in range(REPLICATES)]


def _resampled_quantile(rounds: List[List[int]], ordered: List[int], q: float) -> List[float]:
    """Return the pooled quantile of resampled rounds.

    Sorting every replicate would take a Pi seconds. Instead each round is counted once below
    ``_EDGES`` candidate values around the quantile; a replicate then adds up counts and finds
    its place by bisection.
    """
    margin = max(0.1 * min(q, 1 - q), 3 * math.sqrt(q * (1 - q) / len(ordered)))
    low, high = max(0.0, q - 4 * margin), min(1.0, q + 4 * margin)
    edges = [quantile(ordered, low + (high - low) * i / (_EDGES - 1)) for i in range(_EDGES)]
    below = [[bisect_right(one, edge) for edge in edges] for one in rounds]
    generator, found = random.Random(0), []
    for _ in range(REPLICATES):
        drawn = generator.choices(range(len(rounds)), k=len(rounds))
        wanted = q * sum(len(rounds[i]) for i in drawn)
        left, right = 0, _EDGES - 1
        while left < right:
            middle = (left + right) // 2
            if sum(below[i][middle] for i in drawn) >= wanted:
                right = middle
            else:
                left = middle + 1
        found.append(edges[left])
    return found
