"""The model card: what this student is, what was measured, and what nobody has checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.export.package import Package

_ROWS = (
    ("student", "this student"),
    ("plain_lstm", "plain 1x128 LSTM"),
    ("day_of_week_mean", "day-of-week mean"),
    ("seasonal_naive", "seasonal naive"),
)


def model_card(package: Package) -> str:
    """The card as Markdown."""
    architecture, split, panel = package.architecture, package.split, package.panel
    first, last = panel.date(split.test_origins[0]), panel.date(panel.steps - 1)
    return f"""# {package.name}

A forecaster of daily unit sales, {split.horizon} days ahead: {architecture}.
It was found by search {package.origin["search"]} (trial {package.origin["trial"]}, sampler
{package.origin["sampler"]}, seed {package.origin["seed"]}).

## Use

```sh
python3 -m pip install numpy onnxruntime
python3 predict.py --history example/history.csv --future example/future.csv > forecast.csv
sha256sum -c SHA256SUMS
```

## Accuracy and cost

Test weeks {first} to {last}, never used for training or for choosing.

{_table(package.beside)}
{_worst(package)}
{_measured(package)}
{_runtime(package)}
{_slices(package)}

## What to know before you deploy it

* The figures hold for the data they were measured on; measure again on yours.
* Latency and memory hold for the device, power mode and runtime in `measurement.json`.
  Heat, power and energy were not measured.
* A static id (store, category) that was not in the training data is treated as unseen.
* Forecasts are never negative. They are closer to a median than to a mean, so their sum is
  often a little low: see bias.
"""


def _table(beside: Mapping[str, Any]) -> str:
    lines = [
        "| | WAPE | bias | p50 ms | p95 ms | peak memory MB | size kB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    names = ("wape", "bias", "latency_p50_ms", "latency_p95_ms", "peak_memory_mb", "size_kb")
    for key, title in _ROWS:
        figures = beside[key]
        lines.append(f"| {title} | " + " | ".join(_figure(figures.get(name)) for name in names) + " |")
    return "\n".join(lines)


def _worst(package: Package) -> str:
    devices = list(package.checks)
    return f"\nLatency and memory are those of the worst of {', '.join(devices)}.\n" if len(devices) > 1 else ""


def _runtime(package: Package) -> str:
    """What the figures were measured with, where that is not what ``predict.py`` runs."""
    runtime = package.architecture.runtime
    if runtime == "onnxruntime":
        return ""
    names = package.compiled or [f"model.{precision}.onnx" for precision in package.models]
    files = ", ".join(f"`{name}`" for name in names)
    return f"""
These figures are of {files} in {runtime}; `predict.py` runs the same network in onnxruntime on the CPU.
"""


def _measured(package: Package) -> str:
    lines = [
        "| precision | device | verdict | p50 ms (95 % interval) | differs from the trainer by |",
        "|---|---|---|---|---:|",
    ]
    rows = [
        (device, precision, found, check.verified[precision])
        for device, check in package.checks.items()
        for precision, found in check.measured.items()
    ]
    for device, precision, found, verified in rows:
        p50 = found["p50"]
        interval = f"{p50['ms']:.4f} ({p50['low']:.4f} to {p50['high']:.4f})" if p50 else "not enough samples"
        verdict = ", ".join([found["verdict"], *found["reasons"]])
        differs = f"{verified['mean_difference']:.1e} of the mean"
        lines.append(f"| {precision} | {device} | {verdict} | {interval} | {differs} |")
    return "\n".join(lines)


def _slices(package: Package) -> str:
    slices = package.scorecards[package.architecture.precision]["test"]["slices"]
    lines = ["| test slice | WAPE | day-of-week mean | days |", "|---|---:|---:|---:|"]
    for slicing, groups in slices.items():
        for value, row in groups.items():
            if not isinstance(row, Mapping):
                lines.append(f"| {slicing}: {value} | {row} | | |")
            elif row["n"]:
                rival = row["baselines"]["day_of_week_mean"]
                lines.append(f"| {slicing}: {value} | {_figure(row['wape'])} | {_figure(rival)} | {row['n']} |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
