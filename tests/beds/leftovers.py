"""What a bed lays out carries the number of its process, so that a killed run is cleaned up by the next one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from processes import is_alive

_FOLDER = re.compile(r"nas-bed-(\d+)-.*")


def fresh_folder() -> Path:
    """A folder of this run beside the system's temporary files; those of runs that are no more are removed."""
    for path in Path(tempfile.gettempdir()).iterdir():
        if (found := _FOLDER.fullmatch(path.name)) and not is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"nas-bed-{os.getpid()}-"))
