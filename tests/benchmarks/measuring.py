"""What a candidate costs over SSH beside its own run time: real OpenSSH on loopback, real candidates."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sshd import Sshd

from benchmarks.report import Figure, write
from nas.devices.agent_file import agent_file
from nas.devices.fleet import Fleet
from nas.export.artifact import Artifact
from nas.export.targets import export_untrained
from nas.models.forecaster import Shape
from nas.request import SearchRequest
from nas.search.study import Study
from nas.space import SearchSpace

CANDIDATES = 30
SHAPE = Shape(horizon=14, hist=1, futr=2, vocabulary=(185, 14))
INTRODUCTION = """Thirty distinct candidates drawn from `lstm_compact` are measured one after the other (screening
tier) on this computer through real OpenSSH on loopback: SFTP upload, agent, a process per candidate. Overhead is the
time from the request, upload included, to the reply, minus warm-up and timed inferences. Nothing is cached."""


def main() -> None:
    """Export, measure, report."""
    with tempfile.TemporaryDirectory() as folder:
        board = Sshd(Path(folder))
        board.start()
        try:
            figures = measured(board, Path(folder) / "agent", candidates())
        finally:
            board.stop()
    write("measuring", INTRODUCTION, figures)


def candidates() -> list[Artifact]:
    """Distinct architectures of the built-in space, exported with random weights."""
    request = SearchRequest.model_validate({"devices": ["board"], "sampler": "random"})
    study, found = Study(0, request, SearchSpace.load("lstm_compact"), None), {}
    while len(found) < CANDIDATES:
        architecture = study.ask().architecture
        if architecture not in found:
            found[architecture] = export_untrained(architecture, SHAPE)
            print(f"exported {len(found)} of {CANDIDATES} in {found[architecture].seconds:.1f} s", file=sys.stderr)
    return list(found.values())


def measured(board: Sshd, root: Path, artifacts: list[Artifact]) -> list[Figure]:
    device = board.device(root, python=sys.executable)
    with Fleet([device]) as fleet:
        fleet.facts(device.name)  # uploads the agent
    with Fleet([device]) as fleet:
        started = time.perf_counter()
        fleet.measure(device.name, artifacts[0].model, artifacts[0].inputs)
        first = time.perf_counter() - started
        overheads, verdicts, busy, began = [], [], 0.0, time.perf_counter()
        for artifact in artifacts:
            threads = artifact.architecture.threads
            found = fleet.measure(device.name, artifact.model, artifact.inputs, threads=threads)
            overheads.append(found.overhead_s * 1e3)
            verdicts.append(found.verdict)
            busy += found.warmup_s + found.timed_s
        wall = time.perf_counter() - began
    mean, size = statistics.mean(overheads), len(agent_file().content) / 1000
    degraded = verdicts.count("degraded") / len(verdicts)
    return [
        Figure("agent zipapp", size, "kB", "<= 100 kB", size <= 100),
        Figure(
            "request to first measurement", first, "s", "<= 3 s", first <= 3, "agent uploaded before, new connection"
        ),
        Figure(
            "overhead per candidate, mean", mean, "ms", "<= 150 ms", mean <= 150, f"{CANDIDATES} distinct candidates"
        ),
        Figure("overhead per candidate, median", statistics.median(overheads), "ms"),
        Figure("overhead per candidate, worst", max(overheads), "ms", "<= 150 ms", max(overheads) <= 150),
        Figure("share of the time spent measuring", busy / wall, "", note="warm-up and timed inferences"),
        Figure("degraded verdicts", degraded, "", note="of this run, on a shared machine"),
        Figure("export of a candidate, median", statistics.median(a.seconds for a in artifacts), "s"),
    ]


if __name__ == "__main__":
    main()
