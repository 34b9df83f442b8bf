"""A share of this computer's cores and memory, as a board has them: cgroups of version 1 or 2."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


@dataclass(frozen=True)
class Group:
    """The processes of one board. ``folders`` has one entry per hierarchy: two in version 1, one in version 2."""

    folders: tuple[Path, ...]

    @classmethod
    def create(cls, name: str, cpus: float, memory_mb: int) -> Group:
        """Make the group.

        Args:
            name: Its folder.
            cpus: Cores that it may keep busy, such as 0.5.
            memory_mb: Resident memory, in MiB.

        Raises:
            OSError: This system lends no cgroups to us.
        """
        quota, memory = int(cpus * _PERIOD_US), memory_mb << 20
        if (_ROOT / "cgroup.controllers").exists():
            (_ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
            limits = {_ROOT / name: {"cpu.max": f"{quota} {_PERIOD_US}", "memory.max": str(memory)}}
        else:
            limits = {
                _ROOT / "cpu" / name: {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)},
                _ROOT / "memory" / name: {"memory.limit_in_bytes": str(memory)},
            }
        for folder, files in limits.items():
            folder.mkdir()
            for file, value in files.items():
                (folder / file).write_text(value)
        return cls(tuple(limits))

    @classmethod
    def named(cls, pattern: str) -> dict[str, Group]:
        """Groups that are there, by name; ``pattern`` as for ``glob``."""
        found: dict[str, list[Path]] = {}
        for folder in [*_ROOT.glob(pattern), *_ROOT.glob(f"cpu/{pattern}"), *_ROOT.glob(f"memory/{pattern}")]:
            found.setdefault(folder.name, []).append(folder)
        return {name: cls(tuple(folders)) for name, folders in found.items()}

    def pids(self) -> list[int]:
        """The processes in it and in groups that were made below it."""
        lists = [file for folder in self.folders for file in folder.rglob("cgroup.procs")]
        return sorted({int(pid) for file in lists for pid in file.read_text().split()})

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all, also to those that are started meanwhile."""
        reached: set[int] = set()
        while new := set(self.pids()) - reached:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            reached |= new

    def remove(self) -> None:
        """Kill what is left, and take the group away."""
        self.send(signal.SIGCONT)
        while self.pids():
            self.send(signal.SIGKILL)
            time.sleep(0.01)
        for folder in self.folders:
            for part in sorted(folder.rglob("*"), reverse=True):
                if part.is_dir():
                    part.rmdir()
            folder.rmdir()
