"""One method on one task, in a process of its own: ``python -m benchmarks.accuracy.cell MODULE FOLDER``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.accuracy.task import Task


def main(module: str, folder: str) -> None:
    """Run the method; what it forecasts lies in its folder afterwards."""
    task = Task.read(Path(folder))
    import_module(f"benchmarks.accuracy.rivals.{module}").run(task).write(task.folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
