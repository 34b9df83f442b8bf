"""What proves the measuring protocol: each figure of its table, on this computer or on a user's board."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "device_agents")]  # as pytest does

from benchmarks.measuring import disturbed, recipes, steady
from benchmarks.measuring.bench import Bench, candidates
from benchmarks.report import Figure
from nas.devices.device import Device
from nas.devices.fleet import Fleet

Row = Callable[[Bench], list[Figure]]
EVERYWHERE: tuple[Row, ...] = (
    steady.request_to_answer,
    steady.repeated,
    steady.ranked,
    steady.covered,
    steady.overhead,
    steady.allocation,
)
"""Rows that need nothing but the device."""
HERE: tuple[Row, ...] = (steady.plain_loop, recipes.side_by_side, disturbed.throttled, disturbed.neighbour)
"""Rows that need a second process, or scripted sensors, on the device: only where it is this computer."""


def board(device: Device, rows: tuple[Row, ...] = EVERYWHERE) -> list[Figure]:
    """Run the rows on a device that is ready to measure: enrolled, with onnxruntime."""
    figures: list[Figure] = []
    with Fleet([device]) as fleet:
        bench = Bench(fleet, device, candidates())
        for row in rows:
            print(f"{row.__name__} …", file=sys.stderr)
            figures += row(bench)
            for figure in figures[-3:]:
                print(f"  {figure.name}: {figure.value:.4g} {figure.unit}", file=sys.stderr)
    return figures
