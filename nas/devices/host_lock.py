"""Keeps measuring on this computer apart from work on it: one lock for the whole host and user.

Measuring takes it alone, work (training, exporting, compiling) shares it. The kernel's locks
know no turn, so a gate stands before it: who measures holds the gate while waiting, and new
work queues up behind; otherwise overlapping trainings would keep measuring out for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.errors import ControllerFault

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def same_host(facts: Mapping[str, Any]) -> bool:
    """Tell whether a device is this computer: it was booted in the same moment."""
    try:
        return bool(facts.get("boot_id") == _BOOT_ID.read_text().strip())
    except OSError:
        return False


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Hold this computer's cores alone, after the work that goes on has ended."""
    with _locked("gate", fcntl.LOCK_EX), _locked("cores", fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Use this computer's cores beside other work, but never beside a measurement."""
    with contextlib.ExitStack() as stack:
        with _locked("gate", fcntl.LOCK_EX):
            stack.enter_context(_locked("cores", fcntl.LOCK_SH))
        yield


@contextlib.contextmanager
def _locked(name: str, kind: int) -> Iterator[None]:
    path = _folder() / name
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ControllerFault(f"{path} cannot be opened as a lock file ({error.strerror}); remove it.") from error
    try:
        fcntl.flock(lock, kind)
        yield
    finally:
        os.close(lock)


def _folder() -> Path:
    """Return this user's folder for locks; one that somebody else has laid out is refused."""
    folder = Path(tempfile.gettempdir()) / f"nas-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ControllerFault(f"{folder} is not a folder of this user; remove it, it is expected to hold locks.")
    return folder
