"""What the rows share: candidates, the device, and how a set of measurements is summed up."""

from __future__ import annotations

import hashlib
import pickle
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Figure
from nas.devices.device import Device
from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement
from nas.export.artifact import Artifact
from nas.export.targets import export_untrained
from nas.models.shape import Shape
from nas.request import SearchRequest
from nas.search.study import Study
from nas.space import SearchSpace

CANDIDATES = 30
MOST_REFUSED = 0.2
SHAPE = Shape(horizon=14, hist=1, futr=2, vocabulary=(185, 14))
CACHE = Path(__file__).parents[3] / "build" / "candidates.pickle"


@dataclass(frozen=True)
class Bench:
    """A device and what is measured on it."""

    fleet: Fleet
    device: Device
    candidates: list[Artifact]
    kept: dict[str, list[list[Measurement]]] = field(default_factory=dict)
    """What one row measured and another one compares with, by the row's name."""

    def measure(self, artifact: Artifact, tier: str = "screening", *, beside_load: bool = False) -> Measurement:
        architecture = artifact.architecture
        return self.fleet.measure(
            self.device.name,
            artifact.model,
            artifact.inputs,
            threads=architecture.threads,
            runtime=architecture.runtime,
            tier=tier,
            beside_load=beside_load,
        )

    def some(self, count: int) -> list[Artifact]:
        """Candidates spread over all sizes of file, small to large."""
        ordered = sorted(self.candidates, key=lambda artifact: len(artifact.model))
        return [ordered[round(i * (len(ordered) - 1) / max(1, count - 1))] for i in range(count)]


def candidates() -> list[Artifact]:
    """Distinct architectures of the built-in space, exported with random weights; kept for the next run."""
    space = SearchSpace.load("lstm_compact")
    key = hashlib.sha256(f"{space.to_dict()} {SHAPE} {CANDIDATES}".encode()).hexdigest()
    if CACHE.exists():
        known, found = pickle.loads(CACHE.read_bytes())  # our own file
        if known == key:
            return found
    request = SearchRequest.model_validate({"devices": ["board"], "sampler": "random"})
    study, drawn = Study(0, request, space, None), {}
    while len(drawn) < CANDIDATES:
        architecture = study.ask().architecture
        if architecture not in drawn:
            drawn[architecture] = export_untrained(architecture, SHAPE)
            print(f"exported {len(drawn)} of {CANDIDATES} in {drawn[architecture].seconds:.1f} s", file=sys.stderr)
    CACHE.parent.mkdir(exist_ok=True)
    CACHE.write_bytes(pickle.dumps((key, list(drawn.values()))))
    return list(drawn.values())


def cv(values: Sequence[float]) -> float:
    """Coefficient of variation in percent."""
    return 100 * statistics.stdev(values) / statistics.mean(values)


def usable(found: Iterable[Measurement]) -> list[Measurement]:
    """Those that the device answered with a number."""
    return [one for one in found if one.verdict != "rejected" and one.paired is not None]


def refused(found: Sequence[Measurement]) -> float:
    """Share of measurements that the device rejected."""
    return sum(one.verdict == "rejected" for one in found) / len(found)


def held(
    name: str, value: float, unit: str, bar: str, holds: bool, found: Sequence[Measurement], note: str = ""
) -> Figure:
    """A figure that holds only if few enough measurements were refused; it says how many."""
    share, degraded = refused(found), sum(one.verdict == "degraded" for one in found)
    parts = [note, f"refused {100 * share:.0f} % of {len(found)}, degraded {degraded}"]
    return Figure(name, value, unit, bar, holds and share <= MOST_REFUSED, "; ".join(filter(None, parts)))


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-a of two passes over the same candidates."""
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    agree = sum((first[i] - first[j]) * (second[i] - second[j]) > 0 for i, j in pairs)
    against = sum((first[i] - first[j]) * (second[i] - second[j]) < 0 for i, j in pairs)
    return (agree - against) / len(pairs)
