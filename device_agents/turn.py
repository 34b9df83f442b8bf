"""One measurement at a time on the whole device, whoever's agent makes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Iterator

from device_agents.protocol import Problem

_PLACES = ("run/lock", "tmp")


@contextlib.contextmanager
def turn(sysroot: str, max_seconds: float) -> Iterator[None]:
    """Hold the device's one lock, which agents of other users and folders take as well.

    Raises:
        Problem: ``device_busy`` when another agent measures for longer than ``max_seconds``.
    """
    lock = _opened(sysroot)
    end = time.monotonic() + max_seconds
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    message = "Another agent measured on this device for %g s; wait until it is done." % max_seconds
                    raise Problem("device_busy", message) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _opened(sysroot: str) -> int:
    """Open the lock file where every user may; its owner makes it so that all others can, too."""
    for place in _PLACES:
        path = os.path.join(sysroot, place, "nas-agent-measuring")
        try:
            # Without O_CREAT first: in a sticky folder the kernel may refuse to open another user's file for creating.
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            try:
                lock = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            except OSError:
                continue
        except OSError:
            continue
        return lock
    return os.open(os.devnull, os.O_RDONLY)  # no place at all: the lock of our own folder has to do
