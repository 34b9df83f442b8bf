"""How a benchmark reports: figures with their bars as JSON, and the same to read."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "results" / "benchmarks"
PACKAGES = ("torch", "onnxruntime", "optuna", "paramiko", "numpy")


@dataclass(frozen=True)
class Figure:
    """One figure; ``holds`` is None where there is no bar to hold."""

    name: str
    value: float
    unit: str
    bar: str | None = None
    holds: bool | None = None
    note: str = ""


def write(name: str, introduction: str, figures: list[Figure], device: dict[str, Any] | None = None) -> None:
    """Write NAME.json and NAME.md, and print the latter; ``device`` is what the measuring one says of itself."""
    environment = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "commit": _commit(),
        **({"device": device} if device else {}),
    }
    report = {"name": name, "environment": environment, "figures": [asdict(figure) for figure in figures]}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    lines = [f"# {name}", "", introduction, "", "| figure | value | bar | holds | note |", "|---|---:|---|---|---|"]
    words = {True: "yes", False: "**no**", None: ""}
    for figure in figures:
        value = f"{figure.value:.4g} {figure.unit}"
        lines.append(f"| {figure.name} | {value} | {figure.bar or ''} | {words[figure.holds]} | {figure.note} |")
    lines += ["", "Environment:", "", *(f"* {key}: {value}" for key, value in environment.items())]
    (FOLDER / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()
