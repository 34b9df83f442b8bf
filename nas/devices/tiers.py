"""How thoroughly a model is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas.errors import RequestError


@dataclass(frozen=True, slots=True)
class Tier:
    """Limits of one measurement; PROTOCOL.md says how the agent uses them.

    Attributes:
        min_samples: Timed inferences that are made in any case: 130 is the floor of p95, 662 of p99.
        max_samples: Timed inferences that are never exceeded.
        min_seconds: Least seconds of timing, so that slow noise is seen; ``max_samples`` may end it sooner.
        max_seconds: Seconds of timing, once there are ``min_samples``.
        warmup_max_seconds: Seconds to wait for a stationary latency.
        deadline_s: Seconds until the agent kills the measurement.
    """

    min_samples: int
    max_samples: int
    min_seconds: float
    max_seconds: float
    warmup_max_seconds: float
    deadline_s: float

    @property
    def budget(self) -> dict[str, Any]:
        """The ``budget`` of a ``measure`` request."""
        return {name: value for name, value in asdict(self).items() if name != "deadline_s"}


TIERS = {
    "screening": Tier(130, 20_000, 0.3, 0.5, 1.0, 60.0),
    "thorough": Tier(662, 100_000, 2.0, 5.0, 3.0, 180.0),
}


def tier_named(name: str) -> Tier:
    """Return a tier.

    Raises:
        RequestError: There is none of that name.
    """
    if name not in TIERS:
        raise RequestError(f"There is no tier {name!r}; expected one of {', '.join(TIERS)}.")
    return TIERS[name]
