"""Valid, degraded or rejected, and why."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from device_agents.estimate import Estimate

WIDEST = 0.05
"""A p50 (or ratio) whose interval reaches further than this share to a side makes the measurement degraded."""
_VARIED = 0.1
_MOST_LOST = 0.5


class Evidence(NamedTuple):
    """All that a verdict is based on."""

    stationary: bool
    p50: Optional[Estimate]
    ratio: Optional[Estimate]
    samples: int
    lost: int
    launches: int
    discarded: Dict[str, int]
    audit: Optional[Dict[str, Any]]
    emulated: bool


def judge(evidence: Evidence) -> Tuple[str, List[str]]:
    """Return ``valid``, ``degraded`` or ``rejected`` with one reason each for what is wrong."""
    if evidence.p50 is None:
        return "rejected", [_nothing_left(evidence)]
    reasons = []
    if evidence.emulated:
        reasons.append("emulated: this processor is imitated by another one, so its latency says nothing")
    if not evidence.stationary:
        reasons.append("never stationary: warm-up windows did not agree within their time")
    known = evidence.ratio or evidence.p50
    if known.half_width > WIDEST:
        reasons.append("p50 is known to +-%.1f %% only, expected 5 %% or better" % (100 * known.half_width))
    if evidence.lost > _MOST_LOST * (evidence.lost + evidence.launches):
        total = evidence.lost + evidence.launches
        reasons.append("%d of %d launches were disturbed (%s)" % (evidence.lost, total, _named(evidence)))
    varied = evidence.audit and evidence.audit["varied_ratio"]
    if varied and abs(varied - 1) > _VARIED:
        reasons.append("latency depends on the input: other numbers took %+.0f %%" % (100 * (varied - 1)))
    return ("degraded" if reasons else "valid"), reasons


def _nothing_left(evidence: Evidence) -> str:
    if evidence.lost:
        return "all of %d launches were disturbed (%s)" % (evidence.lost, _named(evidence))
    return "%d samples, fewer than the 11 that p50 needs" % evidence.samples


def _named(evidence: Evidence) -> str:
    return ", ".join("%s: %d" % item for item in sorted(evidence.discarded.items(), key=lambda item: -item[1]))
