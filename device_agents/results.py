"""Finished measurements on the device: a reply that was lost on its way is read again, not measured again."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

from device_agents.protocol import Problem

KEPT = 32


class Results:
    """The folder of the last replies, one file per job."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def put(self, job: str, reply: Dict[str, Any]) -> None:
        """Store a reply before it is sent; the oldest beyond 32 are deleted."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        path = os.path.join(self.folder, job)
        with open(path + ".part", "w") as file:
            json.dump(reply, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".part", path)
        newest_last = sorted(os.scandir(self.folder), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in newest_last[:-KEPT]:
            os.remove(entry.path)

    def get(self, job: str) -> Dict[str, Any]:
        """Return a stored reply.

        Raises:
            Problem: ``result_missing``.
        """
        try:
            with open(os.path.join(self.folder, job)) as file:
                return dict(json.load(file))
        except (OSError, ValueError):
            message = "There is no result of the job %s on the device; measure it." % job
            raise Problem("result_missing", message) from None
