"""Wheels for tests: of what is installed here, and of our own making."""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.tags import sys_tags

ADDED = ("INSTALLER", "REQUESTED", "direct_url.json")
"""Files that pip adds to what it has installed."""


def packed(name: str, folder: Path) -> Path:
    """Pack what is installed here into the wheel that it came from."""
    found = distribution(name)
    tags = [line.partition(": ")[2] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    path = folder / f"{name}-{found.version}-{python}-{abi}-{platforms}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files:
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in ADDED:
                wheel.write(file.locate(), str(file))
    return path


def made(folder: Path, name: str, version: str = "1.0", files: dict[str, str | bytes] | None = None) -> Path:
    """Make a wheel for this Python and this computer."""
    tag, own = next(sys_tags()), f"{name}-{version}.dist-info"
    described = {
        f"{own}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{own}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: {tag}\n",
        **(files or {}),
    }
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in described.items():
            wheel.writestr(member, content)
        record = [f"{member},,{len(content)}" for member, content in described.items()]
        wheel.writestr(f"{own}/RECORD", "\n".join([*record, f"{own}/RECORD,,\n"]))
    return path


BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
"""The Python that the tests' own environment was made from."""
