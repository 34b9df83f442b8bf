"""Wheels for tests: of what is installed here, and of our own making."""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.tags import sys_tags


def packed(name: str, folder: Path) -> Path:
    """Pack what is installed here into the wheel that it came from."""
    found = distribution(name)
    tags = [line.partition(": ")[2] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    path = folder / f"{name}-{found.version}-{python}-{abi}-{platforms}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files:
            if ".." not in file.parts and file.suffix != ".pyc":
                wheel.write(file.locate(), str(file))
    return path


def made(folder: Path, name: str, version: str = "1.0", files: dict[str, str | bytes] | None = None) -> Path:
    """Make a wheel for this Python and this computer."""
    tag = next(sys_tags())
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        for member, text in (files or {}).items():
            wheel.writestr(member, text)
    return path


BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
"""The Python that the tests' own environment was made from."""
