"""Rows about an undisturbed device: how well it repeats itself, ranks, covers, and what measuring costs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring.bench import Bench, cv, held, tau, usable
from benchmarks.report import Figure
from nas.devices.agent_file import agent_file
from nas.devices.tensors import encode_inputs

REPEATS = 20
COVERAGE_RUNS = 200
ALTERNATIONS = 5
BLOCK = 64 * 1024 * 1024
LOOP = Path(__file__).with_name("plain_loop.py")


def request_to_answer(bench: Bench) -> list[Figure]:
    """Thirty distinct candidates in a row, nothing cached: what part of the time the device measured."""
    bench.fleet.facts(bench.device.name)
    started = time.perf_counter()
    found = [bench.measure(bench.candidates[0])]
    first = time.perf_counter() - started
    began = time.perf_counter()
    found += [bench.measure(artifact) for artifact in bench.candidates]
    wall, timed = time.perf_counter() - began, found[1:]
    share = sum(one.measuring_s for one in timed) / wall
    overheads = [1e3 * one.overhead_s for one in timed]
    size = len(agent_file().content) / 1000
    return [
        held("share of the device's time spent measuring", share, "", ">= 0.80", share >= 0.8, timed,
             "request to answer, 30 candidates in a row; warm-up, rounds of candidate and reference"),
        Figure("overhead per candidate, mean", statistics.mean(overheads), "ms"),
        Figure("overhead per candidate, worst", max(overheads), "ms"),
        Figure("time per candidate, median", statistics.median(one.reply_s for one in timed), "s"),
        Figure("first measurement of a new device", first, "s", note="with the calibration of the reference"),
        Figure("agent zipapp", size, "kB", "<= 100 kB", size <= 100),
    ]  # fmt: skip


def repeated(bench: Bench) -> list[Figure]:
    """Three candidates, each measured twenty times in turns."""
    chosen = bench.some(3)
    passes = [[bench.measure(artifact) for artifact in chosen] for _ in range(REPEATS)]
    bench.kept["repeated"] = passes
    every = [one for found in passes for one in found]
    columns = [usable(column) for column in zip(*passes, strict=True)]
    paired = [cv([one.paired.ratio for one in column]) for column in columns]
    plain = [cv([one.p50.ms for one in column]) for column in columns]
    named = ", ".join(f"{value:.2f}" for value in paired)
    return [
        held("CV of p50, paired, 20 re-measurements", max(paired), "%", "<= 2 %", max(paired) <= 2, every,
             f"worst of three sizes ({named})"),
        Figure("CV of p50, not paired", max(plain), "%", note="the same measurements, worst of three sizes"),
    ]  # fmt: skip


def ranked(bench: Bench) -> list[Figure]:
    """Two full screening passes over all candidates, and a thorough one."""
    passes = [
        [bench.measure(artifact, tier) for artifact in bench.candidates]
        for tier in ("screening", "screening", "thorough")
    ]
    bench.kept["ranked"] = passes[:2]
    kept = [row for row in zip(*passes, strict=True) if len(usable(row)) == len(row)]
    ratios = [[one.paired.ratio for one in column] for column in zip(*kept, strict=True)]
    between, tiers = tau(ratios[0], ratios[1]), tau(ratios[0], ratios[2])
    disjoint, flips = _flips([(row[0].paired, row[1].paired) for row in kept])
    every = [one for found in passes for one in found]
    return [
        held("Kendall's tau of two passes, 30 candidates", between, "", ">= 0.95", between >= 0.95, every,
             f"{len(kept)} candidates with an answer in every pass"),
        held("flips among pairs with disjoint intervals", 100 * flips, "%", "<= 1 %", flips <= 0.01, every,
             f"{disjoint} pairs disjoint in the first pass"),
        Figure("Kendall's tau between screening and thorough", tiers, ""),
        Figure("time per candidate, thorough, median", statistics.median(one.reply_s for one in passes[2]), "s"),
    ]  # fmt: skip


def _flips(rows: list) -> tuple[int, float]:
    """Among pairs whose intervals were disjoint in the first pass: the share whose order the second one turned."""
    disjoint = [
        (low, high)
        for low in rows
        for high in rows
        if low[0].high < high[0].low
    ]  # fmt: skip
    turned = sum(low[1].ratio > high[1].ratio for low, high in disjoint)
    return len(disjoint), turned / max(1, len(disjoint))


def covered(bench: Bench) -> list[Figure]:
    """One candidate 200 times: how often its interval holds the long-run value."""
    artifact = bench.some(3)[1]
    every = [bench.measure(artifact) for _ in range(COVERAGE_RUNS)]
    found = usable(every)
    truth = statistics.mean(one.paired.ratio for one in found)
    share = sum(one.paired.low <= truth <= one.paired.high for one in found) / len(found)
    plain_truth = statistics.mean(one.p50.ms for one in found)
    plain = sum(one.p50.low <= plain_truth <= one.p50.high for one in found) / len(found)
    width = statistics.median(one.paired.high / one.paired.low - 1 for one in found)
    return [
        held("coverage of the 95 % interval, paired, 200 runs", 100 * share, "%", ">= 93 %", share >= 0.93, every,
             f"median width {100 * width:.2f} % of the value"),
        Figure("coverage of the 95 % interval of raw milliseconds", 100 * plain, "%",
               note="the same runs: the device drifts from minute to minute, which no single run can know"),
    ]  # fmt: skip


def overhead(bench: Bench) -> list[Figure]:
    """What timing nothing costs, beside the fastest candidate."""
    found = bench.measure(bench.some(2)[0], "thorough", beside_load=True)
    cost = found.audit["overhead_ns"] / 1e3
    return [Figure("overhead of timing itself (null model)", cost, "µs", "<= 2 µs", cost <= 2, "median of 2001")]


def allocation(bench: Bench) -> list[Figure]:
    """A model of 64 MiB against one of some bytes."""
    inputs = {"x": np.zeros((1, 1), "float32")}
    models = (b"nothing", bytes(BLOCK))
    sizes = [
        bench.fleet.measure(bench.device.name, one, inputs, runtime="identity", beside_load=True) for one in models
    ]
    found = (sizes[1].peak_memory_mb - sizes[0].peak_memory_mb) * 1e6 / 1024 / 1024
    holds, note = abs(found - 64) <= 2, f"a model file that the identity runtime holds, by {sizes[1].memory['source']}"
    return [Figure("a known allocation of 64 MiB", found, "MiB", "64 ± 2 MiB", holds, note)]


def plain_loop(bench: Bench) -> list[Figure]:
    """Ten candidates against the loop that anybody would write, in a process of its own, in turns."""
    found, worst, named = [], 0.0, ""
    for artifact in bench.some(10):
        loops, own = [], []
        for _ in range(ALTERNATIONS):
            loops.append(_loop(artifact))
            own.append(bench.measure(artifact))
        found += own
        answers = [one.p50.ms for one in own if one.p50 is not None]
        off = 100 * (statistics.median(answers) / statistics.median(loops) - 1) if answers else 0.0
        if abs(off) > abs(worst):
            worst, named = off, f"{artifact.architecture}; its loops took {min(loops):.4f} to {max(loops):.4f} ms"
    note = f"medians of {ALTERNATIONS} in turns; worst: {named}"
    return [held("p50 against a plain timing loop, 10 models", worst, "%", "within 3 %", abs(worst) <= 3, found, note)]


def _loop(artifact) -> float:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(artifact.model)
        (Path(folder) / "inputs.npz").write_bytes(encode_inputs(artifact.inputs))
        command = [sys.executable, str(LOOP), folder, str(artifact.architecture.threads), "50", "2000"]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0])
