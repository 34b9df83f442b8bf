"""Percentiles of latency samples, with intervals that assume no distribution."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

FLOORS = {"p50": (0.50, 11), "p90": (0.90, 64), "p95": (0.95, 130), "p99": (0.99, 662)}
"""Quantile and least number of samples, by MLPerf LoadGen's binomial rule at 99 % confidence."""


def quantile(ordered: Sequence[int], q: float) -> float:
    """Return the ``q`` quantile of sorted samples, interpolated linearly between ranks (as numpy does)."""
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def ranks(n: int, q: float, confidence: float = 0.95) -> Tuple[int, int]:
    """Return the ranks (from 1) of the order statistics that enclose the ``q`` quantile.

    The number of samples below the true quantile is Binomial(n, q), whatever the distribution
    of independent samples; each tail outside the ranks holds at most half of 1 - confidence
    (David and Nagaraja, Order Statistics, 7.1). Ranks that would fall outside are cut to 1 and n.
    """
    tail = (1 - confidence) / 2
    return max(_low_rank(n, q, tail), 1), min(n + 1 - _low_rank(n, 1 - q, tail), n)


def _low_rank(n: int, q: float, tail: float) -> int:
    """Return the largest k with P(Binomial(n, q) < k) <= tail."""
    log_odds = math.log(q) - math.log1p(-q)
    # Below this count the binomial holds less than 1e-12 (Hoeffding), which decides nothing here.
    count = max(0, int(n * q - math.sqrt(14 * n)))
    choose = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    log_mass = choose + count * math.log(q) + (n - count) * math.log1p(-q)
    below = 0.0
    while count <= n:
        below += math.exp(log_mass)
        if below > tail:
            break
        log_mass += math.log(n - count) - math.log(count + 1) + log_odds if count < n else 0.0
        count += 1
    return count


def summary(ordered: List[int], name: str) -> Optional[Dict[str, Any]]:
    """Return ``{"ms", "interval": [low, high]}`` of p50, p95 or p99; None below the sample floor.

    Args:
        ordered: Sorted samples in nanoseconds.
        name: A key of ``FLOORS``.
    """
    q, floor = FLOORS[name]
    if len(ordered) < floor:
        return None
    low, high = ranks(len(ordered), q)
    return {
        "ms": quantile(ordered, q) / 1e6,
        "interval": [ordered[low - 1] / 1e6, ordered[high - 1] / 1e6],
    }
