"""A warm agent: started once, it waits on a socket in its folder, and the next controller finds the runtimes imported.

A controller notices nothing of it: it starts the agent over SSH as ever, and that one passes the conversation on if a
warm agent of the same release is there and free. One controller is served at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import sys
from typing import Callable, Optional

_LONGEST = 100
"""Bytes of a socket's path; Linux allows 107."""


def path_of(root: str) -> str:
    """Where the warm agent of this very release listens: another release has another name and is left alone."""
    name = os.path.basename(sys.argv[0]).partition(".")[0]
    return os.path.join(root, name[:18] + ".sock")


def listen(root: str, serve: Callable[[int], None]) -> None:
    """Serve one controller after the other, for ever; ``serve`` gets a descriptor to read and write.

    Raises:
        OSError: The socket cannot be made.
    """
    path = path_of(root)
    if len(os.fsencode(path)) > _LONGEST:
        raise OSError("the path %s is too long for a socket; choose a shorter folder for the agent" % path)
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        before = os.umask(0o177)
        door.bind(path)
        os.umask(before)
        door.listen(1)
        while True:
            link, _ = door.accept()
            with link:
                serve(link.fileno())


def pass_on(root: str, stdin: int, stdout: int) -> bool:
    """Carry a whole conversation to the warm agent and back; False if there is none, or another controller has it."""
    link = None if _is_held(os.path.join(root, "lock")) else _called(path_of(root))
    if link is None:
        return False
    with link:
        ends = [stdin, link.fileno()]
        while True:
            for end in select.select(ends, [], [])[0]:
                chunk = os.read(end, 1 << 18)
                if end == stdin and not chunk:
                    ends.remove(stdin)
                    link.shutdown(socket.SHUT_WR)
                elif end == stdin:
                    link.sendall(chunk)
                elif chunk:
                    _write(stdout, chunk)
                else:
                    return True


def _called(path: str) -> Optional[socket.socket]:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(path)
    except OSError:
        link.close()
        return None
    return link


def _is_held(path: str) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
