"""How much memory a process took at most: its own cgroup where one may be made, the kernel's VmHWM and PSS beside."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from types import TracebackType
from typing import Dict, List, NamedTuple, Optional, Type, Union

from device_agents.protocol import Problem

CGROUP2, CGROUP1, HWM = "cgroup2 memory.peak", "cgroup1 memory.max_usage_in_bytes", "VmHWM"
_EMPTY_S = 2.0
_numbers = iter(range(1, 1 << 62))
Pid = Union[int, str]


class Peak(NamedTuple):
    """Peak memory of a process in MB of 10^6 bytes, and where the number is from.

    A cgroup's peak also counts the page cache and the kernel memory that the process was the
    first to need, so it is above ``hwm_mb`` for the first one that reads a file, and below it where pages
    were inherited through fork. Compare only peaks of one source.
    """

    peak_mb: float
    source: str
    hwm_mb: float
    """Highest resident memory (VmHWM), shared pages and those inherited through fork included."""
    pss_mb: Optional[float]
    """Proportional share of the resident memory now; None where the kernel does not tell."""


class Cgroup:
    """A memory cgroup of our own; removed at the end of its ``with`` block.

    Args:
        path: The folder, which exists.
        source: Which kind it is: ``CGROUP2`` or ``CGROUP1``.
    """

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.source = source

    def join(self, pid: int) -> None:
        """Move a process in. What it allocated before stays with its former group: join before loading.

        Raises:
            OSError: The process is gone or may not be moved.
        """
        _write(os.path.join(self.path, "cgroup.procs"), str(pid))

    def peak_mb(self) -> float:
        """Return the highest memory use of all that ever was in here, page cache included."""
        with open(os.path.join(self.path, self.source.split()[1])) as file:
            return int(file.read()) / 1e6

    def close(self) -> None:
        """Remove the group, waiting a moment for processes that are just ending.

        Raises:
            OSError: Some are still in it.
        """
        end = time.monotonic() + _EMPTY_S
        while os.path.exists(self.path):
            try:
                os.rmdir(self.path)
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= end:
                    raise
                time.sleep(0.01)

    def __enter__(self) -> "Cgroup":  # noqa: PYI034 # Self came with Python 3.11
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


def own_cgroup(parent: Optional[str] = None, sysroot: str = "/") -> Optional[Cgroup]:
    """Make a memory cgroup where that is allowed; None where it is not, or where the kernel keeps no peak.

    Version 2 wants a parent that was delegated to this user and holds no process itself. Where
    this process is alone in its group (as in a systemd unit with ``Delegate=memory``) it first
    moves into a child group ``agent``: call this before forking.

    Args:
        parent: The folder to make it in; by default this process's own group, then the root group.
        sysroot: Prefix of /proc and /sys.
    """
    for folder in [parent] if parent else _parents(sysroot):
        two = os.path.exists(os.path.join(folder, "cgroup.subtree_control"))
        if two and not _delegated(folder):
            continue
        group = Cgroup(os.path.join(folder, "nas-%d-%d" % (os.getpid(), next(_numbers))), CGROUP2 if two else CGROUP1)
        try:
            os.mkdir(group.path)
        except OSError:
            continue
        try:
            group.peak_mb()
        except (OSError, ValueError):
            group.close()
            continue
        return group
    return None


def _parents(sysroot: str) -> List[str]:
    """Return this process's own group and the root group, of the hierarchy that has the memory controller."""
    own: Dict[str, str] = {}
    with contextlib.suppress(OSError), open(os.path.join(sysroot, "proc/self/cgroup")) as file:
        for line in file:
            _, controllers, path = line.strip().split(":", 2)
            own.update(dict.fromkeys(controllers.split(","), path))
    mounts = {"memory": "sys/fs/cgroup/memory", "": "sys/fs/cgroup"}
    for controller, mount in mounts.items():
        root = os.path.join(sysroot, mount)
        control = "memory.max_usage_in_bytes" if controller else "cgroup.subtree_control"
        if controller in own and os.path.exists(os.path.join(root, control)):
            mine = os.path.join(root, own[controller].lstrip("/"))
            return [mine, root] if os.path.isdir(mine) else [root]
    return []


def _delegated(folder: str) -> bool:
    """Tell whether children of a version 2 group have the memory controller; ask for it where they have not."""
    control, members = os.path.join(folder, "cgroup.subtree_control"), os.path.join(folder, "cgroup.procs")
    try:
        if "memory" in _words(control):
            return True
        if _words(members) == [str(os.getpid())]:
            leaf = os.path.join(folder, "agent")
            os.makedirs(leaf, exist_ok=True)
            _write(os.path.join(leaf, "cgroup.procs"), str(os.getpid()))
        _write(control, "+memory")
    except OSError:
        return False
    return "memory" in _words(control)


def _words(path: str) -> List[str]:
    with open(path) as file:
        return file.read().split()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def peak(pid: Pid = "self", cgroup: Optional[Cgroup] = None) -> Peak:
    """Return the peak of a process, by its cgroup where it has one of its own."""
    hwm, pss = hwm_mb(pid), pss_mb(pid)
    return Peak(cgroup.peak_mb(), cgroup.source, hwm, pss) if cgroup else Peak(hwm, HWM, hwm, pss)


def hwm_mb(pid: Pid = "self") -> float:
    """Return a process's highest resident memory since it started or ``clear_refs`` was written, in MB.

    Raises:
        Problem: ``device_broken`` when the process is gone or the kernel does not tell.
    """
    value = _field("/proc/%s/status" % pid, "VmHWM:")
    if value is None:
        raise Problem(
            "device_broken", "The kernel reports no VmHWM of process %s; expected a live one and /proc." % pid
        )
    return value


def pss_mb(pid: Pid = "self") -> Optional[float]:
    """Return a process's proportional share of resident memory now, in MB; None where the kernel does not tell."""
    return _field("/proc/%s/smaps_rollup" % pid, "Pss:")


def _field(path: str, name: str) -> Optional[float]:
    """Return a field in kB as MB of 10^6 bytes."""
    with contextlib.suppress(OSError), open(path) as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
    return None
