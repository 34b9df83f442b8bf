"""What a real device said about a store's nightly job with one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import ControllerFault


@dataclass(frozen=True, slots=True)
class Sweep:
    """A store's nightly job: every series forecast once, from a cold start to the written file.

    Attributes:
        seconds: From the start of a fresh process to its end; None when the device was not fit to be measured.
        peak_mb: Its highest resident memory in MB (10^6 bytes).
        series: How many series it forecast.
        stages: Seconds per stage: start, load, read, features, infer, write; the rest is the process's end.
        energy_j: Joules of the whole job above idle; None without a sensor, or where ``notes`` say why.
        sensor: Name of that sensor, None without one.
        memory: ``source`` of the peak (VmHWM), with ``cgroup_mb`` of a cgroup of its own beside it.
        provider: What really executed the model, as the runtime itself reports.
        disturbed: Why runs were disturbed -> how many; the first that was not is what counts.
        verdict: ``valid``, ``degraded`` or ``rejected``.
        reasons: Why it is not valid; empty when it is.
        notes: What else a reader should know.
    """

    seconds: float | None
    peak_mb: float | None
    series: int | None
    stages: Mapping[str, float] | None
    energy_j: float | None
    sensor: str | None
    memory: Mapping[str, Any] | None
    provider: str | None
    disturbed: Mapping[str, int]
    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sweep:
        """Build from JSON values."""
        return cls(**{**values, "reasons": tuple(values["reasons"]), "notes": tuple(values["notes"])})

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any], *, device: str) -> Sweep:
        """Build from the agent's reply to ``sweep`` (see PROTOCOL.md).

        Raises:
            ControllerFault: The reply is not of the documented form.
        """
        try:
            energy = reply["energy"] or {"energy_mj": None, "sensor": None, "notes": []}
            joules = None if energy["energy_mj"] is None else energy["energy_mj"] / 1000
            measured = {name: reply[name] for name in _SAME}
            notes = [*reply["notes"], *energy["notes"]]
            return cls.from_dict({**measured, "energy_j": joules, "sensor": energy["sensor"], "notes": notes})
        except (KeyError, TypeError) as error:
            raise ControllerFault(
                f"The agent on {device} sent a sweep without the documented field {error}; "
                "expected the reply of PROTOCOL.md, so let the controller upload its own agent."
            ) from error


_SAME = (
    *("seconds", "peak_mb", "series", "stages", "memory", "provider", "disturbed"),
    *("verdict", "reasons"),
)
"""Fields that a reply and a sweep call the same."""
