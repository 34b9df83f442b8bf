"""Where everything that a device says about itself is read: /proc, /sys and the Pi's firmware, under one prefix."""

from __future__ import annotations

import glob
import os
import subprocess
from typing import List, Optional

VCGENCMD = "/usr/bin/vcgencmd"
_FIRMWARE_S = 2.0
_MOST = 65536


class Sysroot:
    """A root of pseudo-files; ``/`` on a device, a scripted tree in tests.

    All paths are relative to it, without a leading slash.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.abspath(root)

    def read(self, path: str) -> Optional[str]:
        """Return a pseudo-file's text without NULs and blanks around it; None when absent, unreadable or empty."""
        try:
            with open(os.path.join(self.root, path), "rb", buffering=0) as file:
                chunks = [file.read(_MOST)]
                while chunks[-1] and sum(map(len, chunks)) < _MOST:  # the kernel hands out a page at a time
                    chunks.append(file.read(_MOST))
        except OSError:
            return None
        return b"".join(chunks).decode("utf-8", "replace").replace("\0", " ").strip() or None

    def number(self, path: str) -> Optional[int]:
        """Return the whole number that a pseudo-file starts with; None where there is none."""
        words = (self.read(path) or "").split(None, 1)
        try:
            return int(words[0]) if words else None
        except ValueError:
            return None

    def find(self, pattern: str) -> List[str]:
        """Return the paths that match, sorted."""
        found = glob.glob(os.path.join(glob.escape(self.root), pattern))
        return sorted(os.path.relpath(path, self.root) for path in found)

    def vcgencmd(self, *words: str) -> Optional[str]:
        """Return what the Raspberry Pi's firmware answers to ``vcgencmd WORDS``; None where there is no answer.

        A scripted tree has its answers in ``usr/bin/vcgencmd.out/WORDS``, joined by underscores.
        On a device this starts a process and takes some 5 to 10 ms.
        """
        if self.root != "/":
            return self.read("usr/bin/vcgencmd.out/" + "_".join(words))
        if not os.path.exists(VCGENCMD):
            return None
        try:
            answer = subprocess.run(  # noqa: S603 # a fixed program with the words of this package
                [VCGENCMD, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_FIRMWARE_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        text = answer.stdout.decode("utf-8", "replace").strip()
        return None if text.startswith("error") else text or None
