"""Looking at processes and waiting for them, for the tests of devices."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest


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


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited 15 s in vain")
