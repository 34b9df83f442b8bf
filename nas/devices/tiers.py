"""How thoroughly a model is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas.errors import RequestError


@dataclass(frozen=True, slots=True)
class Tier:
    """Limits of one measurement; PROTOCOL.md says how the agent uses them.

    A measurement is made of launches, each a fresh process; it ends when it is sure, or with ``max_launches``.

    Attributes:
        min_launches: Launches that are made in any case.
        max_launches: Launches that are never exceeded.
        min_samples: Timed inferences that are made in any case: 130 is the floor of p95, 662 of p99.
        max_samples: Timed inferences that are never exceeded.
        launch_seconds: Seconds of rounds per launch, the reference's included.
        warmup_max_seconds: Seconds per launch to wait for a stationary latency.
        gate_max_seconds: Seconds to wait for a cool, quiet device before it is refused.
        energy_seconds: Seconds of inferences while the meter is read, where there is one.
        tail: Whether p95 must be known within 5 %, too, before it may end early.
        audit: Whether the measuring itself is questioned: the cost of timing, and other inputs.
        deadline_s: Seconds until the agent kills the measurement.
    """

    min_launches: int
    max_launches: int
    min_samples: int
    max_samples: int
    launch_seconds: float
    warmup_max_seconds: float
    gate_max_seconds: float
    energy_seconds: float
    tail: bool
    audit: bool
    deadline_s: float

    @property
    def budget(self) -> dict[str, Any]:
        """The ``budget`` of a ``measure`` request."""
        return {name: value for name, value in asdict(self).items() if name != "deadline_s"}


TIERS = {
    "screening": Tier(3, 6, 130, 20_000, 0.3, 1.0, 10.0, 2.0, False, False, 90.0),
    "thorough": Tier(6, 16, 662, 100_000, 0.4, 3.0, 60.0, 5.0, True, True, 300.0),
}


def tier_named(name: str) -> Tier:
    """Return a tier.

    Raises:
        RequestError: There is none of that name.
    """
    if name not in TIERS:
        raise RequestError(f"There is no tier {name!r}; expected one of {', '.join(TIERS)}.")
    return TIERS[name]
