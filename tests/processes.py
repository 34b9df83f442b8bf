"""Looking at processes and waiting for them, for the tests of devices."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE_S = 120


def descendants(pid: int) -> list[int]:
    """Return the processes that descend from ``pid``, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if status := _status(int(entry.name)):
            children.setdefault(int(status[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        own = children.get(queue.pop(0), [])
        found += own
        queue += own
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and no zombie that nobody has fetched."""
    status = _status(pid)
    return bool(status) and status[0] != "Z"


def _status(pid: int) -> list[str]:
    """Return state, parent and so on from /proc, nothing for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def agents_of(root: Path) -> list[int]:
    """Return the processes that were started with this folder: the agent, its fork server, the child."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"--root\0{root}".encode() in (folder / "cmdline").read_bytes() and is_alive(int(folder.name)):
                found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for another process or thread; the time only bounds a broken run."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() >= end:
            pytest.fail(f"waited {PATIENCE_S} s in vain")
        time.sleep(0.01)
