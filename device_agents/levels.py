"""The usual speed of the reference model on this device, remembered across agents in one small file."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional

ALARM = 0.10
"""A launch whose reference deviates by more than this share from its usual time is not to be trusted."""
STRIKES = 3
"""Measurements in a row that were off the level, after which the level is what is wrong."""
KEPT = 64


class Levels:
    """Medians of reference models in nanoseconds, by what they depend on.

    The state of the device (boot, governor, power mode) is part of the key: a device that was
    set to another speed is calibrated anew, and one that only runs hot or busy is not.

    Args:
        path: The file.
        state: What else every key depends on.
    """

    def __init__(self, path: str, state: str) -> None:
        self._path, self._state = path, state

    def get(self, key: str) -> Optional[float]:
        """Return a remembered level, or None."""
        found = self._read().get(self._named(key))
        return None if found is None else float(found["ns"])

    def put(self, key: str, level: float) -> None:
        """Remember a level; the oldest beyond 64 are forgotten."""
        self._write(key, {"ns": level, "strikes": 0})

    def agreed(self, key: str) -> None:
        """Note that a measurement found the level as remembered."""
        found = self._read().get(self._named(key))
        if found and found["strikes"]:
            self.put(key, found["ns"])

    def missed(self, key: str, *, faster: bool) -> None:
        """Note that a measurement found the device off its level.

        Nothing makes a device faster than it is: then the calibration was disturbed, and is
        forgotten at once. Slower may be a passing load: that takes three in a row.
        """
        found = self._read().get(self._named(key))
        if found is None:
            return
        strikes = found["strikes"] + 1
        self._write(key, None if faster or strikes >= STRIKES else {"ns": found["ns"], "strikes": strikes})

    def _write(self, key: str, value: Optional[Dict[str, Any]]) -> None:
        known = self._read()
        known.pop(self._named(key), None)
        if value is not None:
            known[self._named(key)] = value
        with open(self._path + ".part", "w") as file:
            json.dump(dict(list(known.items())[-KEPT:]), file)
        os.replace(self._path + ".part", self._path)

    def _named(self, key: str) -> str:
        return "%s %s" % (self._state, key)

    def _read(self) -> Dict[str, Dict[str, Any]]:
        try:
            with open(self._path) as file:
                return dict(json.load(file))
        except (OSError, ValueError):  # not there yet, or damaged: it is measured again
            return {}
