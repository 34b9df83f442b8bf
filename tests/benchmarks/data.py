"""`make bench-data`: a table of 44 million rows, 40,000 series of store and product, through `nas data check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from benchmarks.report import Figure, write

STORES, PRODUCTS, DAYS = 1_000, 40, 1_100
CSV_STORES = STORES // 10
OPTIONS = {
    "--unique-id": ("store", "product"),
    "--ds": ("day",),
    "--y": ("units",),
    "--hist": ("price",),
    "--futr": ("promo",),
    "--stat": ("store", "product"),
    "--available": ("stock",),
}
PANEL = """
import sys
from pathlib import Path
from nas.data import load_panel
from nas.request import DataSpec
columns = {"unique_id": ("store", "product"), "ds": "day", "y": "units"}
spec = DataSpec(source="table", path=sys.argv[1], columns=columns, hist=("price",), futr=("promo",),
                stat=("store", "product"), available="stock", series=1000)
print(load_panel(spec, Path()).y.shape)
"""
INTRODUCTION = """{rows:,} rows: {series:,} series of store × product over {days:,} days, units drawn from Poisson
distributions of gamma distributed levels, with prices, promotions and stock-outs; sorted by day, so that the rows of
a series lie far apart. `nas data check` runs as a process of its own; its peak memory is what the kernel says. It was
run beside other work on the same cores (see the load)."""


def batches(stores: int) -> Any:
    """Some days at a time, each with every series."""
    random = np.random.default_rng(0)
    series = stores * PRODUCTS
    level = random.gamma(0.8, 4.0, series)
    store = pa.array([f"S{number:04d}" for number in range(stores)])
    product = pa.array([f"P{number:03d}" for number in range(PRODUCTS)])
    names = (
        pa.DictionaryArray.from_arrays(np.repeat(np.arange(stores, dtype=np.int32), PRODUCTS), store),
        pa.DictionaryArray.from_arrays(np.tile(np.arange(PRODUCTS, dtype=np.int32), stores), product),
    )
    for day in range(DAYS):
        stock = random.poisson(level * 4)
        promo = random.random(series) < 0.1
        yield pa.table(
            {
                "store": names[0],
                "product": names[1],
                "day": pa.array(np.full(series, np.datetime64("2021-01-01") + day)),
                "units": np.minimum(random.poisson(level * (1 + 0.6 * promo)), stock).astype(np.int32),
                "price": random.random(series).astype(np.float32).round(2),
                "promo": promo.astype(np.int8),
                "stock": stock.astype(np.int32),
            }
        )


def generate(folder: Path) -> tuple[Path, Path]:
    """Write both files."""
    parquet, csv = folder / "sales.parquet", folder / "sales.csv"
    writer = text = None
    for table in batches(STORES):
        writer = writer or pq.ParquetWriter(parquet, table.schema)
        writer.write_table(table)
    writer.close()
    for table in batches(CSV_STORES):
        plain = table.cast(pa.schema([f.with_type(pa.string()) if i < 2 else f for i, f in enumerate(table.schema)]))
        text = text or arrow_csv.CSVWriter(csv, plain.schema)
        text.write_table(plain)
    text.close()
    return parquet, csv


def timed(command: list[str]) -> tuple[str, float, float, float]:
    """What a process printed, its seconds on the wall and on the processor, and its peak memory in GB."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        out.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return out.read(), time.monotonic() - started, cpu, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """Generate, check, report."""
    options = [part for name, values in OPTIONS.items() for value in values for part in (name, value)]
    figures: list[Figure] = []

    def add(name: str, seconds: float, cpu: float, memory: float, bars: tuple[float, float] | None, note: str) -> None:
        limit, most = bars or (0, 0)
        holds = (seconds <= limit, memory <= most) if bars else (None, None)
        said = (f"<= {limit:g}", f"<= {most:g}") if bars else (None, None)
        figures.append(Figure(f"{name}: time", seconds, "s", said[0], holds[0], note))
        figures.append(Figure(f"{name}: of that on the processor", cpu, "s"))
        figures.append(Figure(f"{name}: peak memory", memory, "GB", said[1], holds[1]))

    with tempfile.TemporaryDirectory() as folder:
        parquet, csv = generate(Path(folder))
        for path, bars in ((parquet, (300, 8)), (csv, None)):
            command = [sys.executable, "-m", "nas.cli", "data", "check", str(path), *options, "--json"]
            out, *spent = timed(command)
            found = json.loads(out)
            assert not found["problems"], found["problems"]
            size = path.stat().st_size / 1e9
            add(f"check {path.suffix[1:]}, {found['rows']:,} rows", *spent, bars, f"{size:.2f} GB on disk")
        out, *spent = timed([sys.executable, "-c", PANEL, str(parquet)])
        add("panel of its 1,000 largest series", *spent, None, f"read, checked, laid out: {out.strip()}")
    rows, series = STORES * PRODUCTS * DAYS, STORES * PRODUCTS
    write("data", INTRODUCTION.format(rows=rows, series=series, days=DAYS), figures)


if __name__ == "__main__":
    main()
