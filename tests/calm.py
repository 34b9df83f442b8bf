"""This computer as a device that is always fit to be measured: its own facts, and no sensor that could refuse.

A measurement beside load is still refused, and should be, when the hypervisor takes the cores away, pages are
swapped out, or a core gets too hot. Whether that happens while the tests run is chance, so where a test is not about
it, the agent reads these facts instead of /proc and /sys.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_FACTS = (
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/random/boot_id",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/sys_vendor",
)
_PYTHON = """\
#!/bin/sh
case " $* " in *" --root "*) exec {python} "$@" --sysroot {sysroot} ;; esac
exec {python} "$@"
"""
"""Only the agent knows what a --sysroot is; the same interpreter also checks what was uploaded."""


def calm_root(folder: Path) -> Path:
    """Lay a tree out for ``--sysroot``, with a lock of its own for whose turn it is to measure."""
    for fact in _FACTS:
        (folder / fact).parent.mkdir(parents=True, exist_ok=True)
        (folder / fact).symlink_to(Path("/", fact))
    (folder / "run" / "lock").mkdir(parents=True)
    return folder


def python_with(sysroot: Path, path: Path) -> str:
    """Write a Python whose agent has this sysroot, and return where it lies."""
    path.write_text(_PYTHON.format(python=sys.executable, sysroot=sysroot))
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def calm_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tests' own Python, for devices that are measured whatever this computer is doing."""
    folder = tmp_path_factory.mktemp("calm")
    return python_with(calm_root(folder / "sysroot"), folder / "python")
