"""Rows about a device that is not fit: scripted throttling, and a real busy neighbour."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from boards import pi4

from benchmarks.measuring.bench import Bench, refused
from benchmarks.measuring.recipes import wrong_by
from benchmarks.report import Figure
from nas.devices.fleet import Fleet
from nas.devices.measurement import Measurement
from nas.devices.tiers import TIERS

THROTTLED_RUNS = 100
NEIGHBOUR_RUNS = 30
PULSE_S = 0.2
BITS = (0x1, 0x2, 0x4, 0x8)


def throttled(bench: Bench) -> list[Figure]:
    """A scripted Pi 4 whose firmware reports throttling for a moment in every second run."""
    artifact = bench.some(3)[1]
    with tempfile.TemporaryDirectory() as folder, short(min_launches=1, max_launches=2):
        board = pi4(Path(folder) / "sys")
        wrapper = Path(folder) / "python"
        run = f'exec "{sys.executable}" "$@"'
        wrapper.write_text(f'#!/bin/sh\ncase "$*" in *--root*) {run} --sysroot "{board.root}";; *) {run};; esac\n')
        wrapper.chmod(0o755)
        device = replace(bench.device, python=str(wrapper), root=str(Path(folder) / "agent"))
        draw, scripted, quiet = random.Random(0), [], []
        with Fleet([device]) as fleet:
            there = replace(bench, fleet=fleet, device=device)
            there.measure(artifact)
            for number in range(2 * THROTTLED_RUNS):
                if number % 2:
                    quiet.append(there.measure(artifact))
                    continue
                timer = threading.Timer(draw.uniform(0.2, 0.4), _pulse, (board, draw.choice(BITS)))
                timer.start()
                scripted.append(there.measure(artifact))
                timer.join()
    # The gate may see it, and wait until it is over; or a round does, and is discarded.
    seen = sum("throttled" in one.discarded or _says(one, "throttled") for one in scripted) / len(scripted)
    false = sum("throttled" in one.discarded or _says(one, "throttled") for one in quiet) / len(quiet)
    return [
        Figure("scripted throttling detected", 100 * seen, "%", ">= 99 %", seen >= 0.99,
               f"{len(scripted)} pulses of 0.2 s; scripted sensors"),
        Figure("false alarms of throttling", 100 * false, "%", "<= 1 %", false <= 0.01,
               f"{len(quiet)} runs; scripted sensors"),
    ]  # fmt: skip


def _pulse(board, bits: int) -> None:
    board.throttle(bits)
    time.sleep(PULSE_S)
    board.throttle(0)


def _says(measured: Measurement, word: str) -> bool:
    return any(word in reason for reason in (*measured.reasons, *measured.notes))


def neighbour(bench: Bench) -> list[Figure]:
    """A process that spins, there from the start or begun in the middle; and what a recipe makes of it."""
    artifact = bench.some(3)[1]
    quiet = statistics.median(bench.measure(artifact).metric("latency_p50_ms") for _ in range(5))
    found: list[Measurement] = []
    with short():
        for number in range(NEIGHBOUR_RUNS):
            with spinning(0.0 if number % 2 else 0.3):
                found.append(bench.measure(artifact))
    with spinning(0.0):
        time.sleep(0.1)
        off = wrong_by(artifact, quiet, 5)
    noticed = [
        one for one in found if one.verdict != "valid" or one.counts["lost_launches"] or one.counts["lost_rounds"]
    ]
    accepted = [100 * abs(one.metric("latency_p50_ms") / quiet - 1) for one in found if one.verdict == "valid"]
    share, worst = len(noticed) / len(found), max(accepted, default=0.0)
    rejected = f"rejected {100 * refused(found):.0f} %, as they should be"
    return [
        Figure("a busy neighbour detected", 100 * share, "%", ">= 95 %", share >= 0.95,
               f"{len(found)} runs, {rejected}"),
        Figure("error of what was accepted beside it", worst, "%", "<= 3 %", worst <= 3 if accepted else None,
               f"worst of {len(accepted)} valid answers"),
        Figure("nn-Meter's recipe beside the same neighbour is off by", off, "%",
               note="median of 5; it reports this number and cannot refuse"),
    ]  # fmt: skip


@contextmanager
def spinning(delay_s: float):
    """A process that never rests, from ``delay_s`` on."""
    code = f"import time; time.sleep({delay_s})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-S", "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def short(**changes: float):
    """A shorter screening: here the gate is meant to stay shut, or one launch is enough."""
    usual = TIERS["screening"]
    TIERS["screening"] = replace(usual, gate_max_seconds=1.0, **changes)
    try:
        yield
    finally:
        TIERS["screening"] = usual
