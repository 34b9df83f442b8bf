"""The model card: what this student is, what was measured, and what nobody has checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.export.calendar import computed
from nas.export.embeddings import bytes_of_tables, tables
from nas.models.calendar import HOURS_PER_DAY
from nas.models.forecaster import build

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

A forecaster of {panel.frequency} unit sales, {split.horizon} {panel.clock.unit}s ahead: {architecture}.
It was found by search {package.origin["search"]} (trial {package.origin["trial"]}, sampler
{package.origin["sampler"]}, seed {package.origin["seed"]}).

## Use

```sh
python3 -m pip install numpy onnxruntime
python3 predict.py --history example/history.csv --future example/future.csv > forecast.csv
sha256sum -c SHA256SUMS
```
{_tables_of(package)}
Every night, as a line of `crontab -e`, or in a service of systemd whose timer has `OnCalendar=02:30`:

```
30 2 * * * cd /opt/{package.name} && python3 predict.py --history H.csv --future F.csv > new.csv && mv new.csv out.csv
```

## Accuracy and cost

Test weeks {first} to {last}, never used for training or for choosing.

{_table(package.beside)}
{_interval(package)}{_worst(package)}
{_measured(package)}
{_runtime(package)}
{_sizes(package)}
{_slices(package)}
{_teacher(package)}

## What to know before you deploy it

* The figures hold for the data they were measured on; measure again on yours.
* Latency and memory hold for the device, power mode and runtime in `measurement.json`.
  Heat, power and energy were not measured.
* A static id (store, category) that was not in the training data is treated as unseen. A series without
  history may stand in future.csv alone; its forecast is that of an unseen one.
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


def _tables_of(package: Package) -> str:
    """How the tables of this package differ from the plainest ones."""
    panel, data = package.panel, package.data
    planned = [name for name in panel.futr_names if name != computed(panel, data)]
    lines = ["", "`forecast.csv` has a column `planned`: 0 where something was not planned and was taken as usual."]
    if planned:
        lines.append(f"Planned ahead, in future.csv: {', '.join(f'`{name}`' for name in planned)}.")
    if panel.open:
        lines.append(f"Where `{panel.open}` is 0 the forecast is 0; without a plan it is as in the last week known.")
    if computed(panel, data):
        lines.append(f"Holidays of {data.holidays} are computed; `calendar.json` has their dates, and may be edited.")
    if panel.clock.hours < HOURS_PER_DAY:
        lines.append("`ds` is `YYYY-MM-DD HH:00` by the store's own clock, without a zone.")
    if package.shape.quantiles:
        lines.append(
            f"Quantiles {', '.join(f'{level:g}' for level in package.shape.quantiles)}; `forecast` is the 0.5."
        )
    return "\n".join(lines) + "\n"


def _worst(package: Package) -> str:
    devices = list(package.checks)
    return f"\nLatency and memory are those of the worst of {', '.join(devices)}.\n" if len(devices) > 1 else ""


def _sizes(package: Package) -> str:
    """Bytes of each file without and with its embeddings: the former do not grow with the stores and articles."""
    names = tables(build(package.architecture, package.shape))
    if not names:
        return ""
    lines = ["| file | network, bytes | with embeddings, bytes |", "|---|---:|---:|"]
    for precision, model in package.models.items():
        lines.append(f"| model.{precision}.onnx | {len(model) - bytes_of_tables(model, names)} | {len(model)} |")
    return "\n".join(["", *lines, ""])


def _interval(package: Package) -> str:
    """How sure the student's WAPE is, by the scorecard's bootstrap over series."""
    test = package.scorecards[package.architecture.precision]["test"]
    bounds = test.get("interval")
    if not bounds or None in bounds:
        return ""
    lines = [f"The student's WAPE lies within {bounds[0]:.4g} and {bounds[1]:.4g} (95 %, bootstrap over series)."]
    for name, found in test["against"].items():
        if found["low"] is not None:
            title = dict(_ROWS).get(name, name)
            lines.append(f"Its WAPE minus that of {title}: {found['low']:+.4g} to {found['high']:+.4g}.")
    return "\n" + "\n".join(lines) + "\n"


def _teacher(package: Package) -> str:
    """What the teacher gave, where there was one."""
    told = package.distilled
    if not told:
        return ""
    teacher, lines = told["teacher"], []
    lines.append(f"## Teacher\n\nDistilled from the {teacher['kind']} teacher {teacher['id']}; shipped is the student")
    lines.append(f"{told['shipped'].replace('_', ' ')}, chosen on validation. `recipe.json` has schedule and loss.")
    accuracy = told.get("accuracy", {})
    if accuracy:
        lines += ["", "| all stores | validation WAPE | test WAPE |", "|---|---:|---:|"]
    for name, parts in accuracy.items():
        figures = " | ".join(_figure(parts[part]["wape"]) for part in ("validation", "test"))
        lines.append(f"| {name.replace('_', ' ')} | {figures} |")
    return "\n".join([*lines, ""])


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
    if any(found.get("paired") for _, _, found, _ in rows):
        lines += [
            "",
            "Here p50 is as measured on that day; above it is the ratio to the reference model that ran in turns",
            "with it, times that model's usual p50 on the device, so that figures of different days compare.",
        ]
    return "\n".join(lines)


def _slices(package: Package) -> str:
    slices = package.scorecards[package.architecture.precision]["test"]["slices"]
    lines = ["| test slice | WAPE | day-of-week mean | steps |", "|---|---:|---:|---:|"]
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
