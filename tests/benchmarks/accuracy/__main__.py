"""``make bench-accuracy``: run the cells that are missing, then write the report from all that are there."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]  # as pytest does

from benchmarks.accuracy import cells, report, settings
from nas.errors import NasError

BUDGET_S = 120.0


def main() -> None:
    """Read ONLY, BUDGET, SERIES and WORK from the environment; see the Makefile."""
    only, budget = os.environ.get("ONLY", ""), float(os.environ.get("BUDGET") or BUDGET_S)
    series = int(os.environ["SERIES"]) if os.environ.get("SERIES") else None
    work = Path(os.environ.get("WORK") or cells.WORK).resolve()
    if settings.rossmann() is None:
        print("ROSSMANN names no folder of train.parquet and store.parquet: Complete Journey only.", file=sys.stderr)
    failed = []
    for setting in (settings.prepared(name, work, series) for name in settings.names(only)):
        for cell in cells.planned(setting, budget, only):
            if cell.done is not None:
                continue
            started = time.perf_counter()
            try:
                cells.run(cell)
            except NasError as error:
                failed.append(str(error))
                print(error, file=sys.stderr)
                continue
            took = time.perf_counter() - started
            wape = (cell.done or {})["test"]["overall"]["wape"]
            print(f"{setting.name} {cell.name}: WAPE {wape:.4f}, {took:.0f} s", file=sys.stderr, flush=True)
    report.write_all(work, budget, series)
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    try:
        main()
    except NasError as error:
        raise SystemExit(str(error)) from None
