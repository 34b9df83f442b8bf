"""Models and inputs on the device, each named by its SHA-256 alone."""

from __future__ import annotations

import hashlib
import os
from typing import List, Tuple

from device_agents.protocol import Problem, is_sha256

KEPT_BYTES = 256 * 1024 * 1024
"""What may stay on the device; beyond it the blobs that were used longest ago go first."""


class Blobs:
    """The folder that the controller writes blobs to."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, sha: str) -> str:
        """Return the path of a blob whose content was just verified.

        Raises:
            Problem: ``blob_missing``; or ``blob_corrupt``, and then the file is gone.
        """
        if not is_sha256(sha):
            raise Problem("bad_request", "A blob is named %.80r; expected 64 lower-case hex digits." % (sha,))
        path = os.path.join(self.folder, sha)
        try:
            found = _digest(path)
        except OSError:
            raise Problem("blob_missing", "The blob %s is not on the device; send it again." % sha) from None
        if found != sha:
            os.remove(path)
            raise Problem("blob_corrupt", "The blob %s arrived damaged and was deleted; send it again." % sha)
        os.utime(path)
        return path

    def add(self, content: bytes) -> str:
        """Store ``content`` and return its SHA-256."""
        sha = hashlib.sha256(content).hexdigest()
        path = os.path.join(self.folder, sha)
        with open(path + ".part", "wb") as file:
            file.write(content)
        os.replace(path + ".part", path)
        return sha

    def prune(self, kept_bytes: int = KEPT_BYTES) -> None:
        """Delete the blobs that were used longest ago, leftovers of broken uploads included, down to the limit."""
        found: List[Tuple[float, int, str]] = []
        for entry in os.scandir(self.folder):
            status = entry.stat(follow_symlinks=False)
            found.append((status.st_mtime, status.st_size, entry.path))
        excess = sum(size for _, size, _ in found) - kept_bytes
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            os.remove(path)
            excess -= size


def _digest(path: str) -> str:
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            sha.update(chunk)
    return sha.hexdigest()
