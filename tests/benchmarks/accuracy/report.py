"""The report: figures with their bars, tables, pictures, and the committed searches."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy import noise, pictures, settings, table
from benchmarks.accuracy.table import Row, difference
from benchmarks.report import FOLDER, Figure, write
from nas.search.student import PLAIN

BARRED = ("rossmann-h14", "rossmann-h14-dec")
SMALLER, LIGHTER = 1 / 20, 1 / 3
INTRODUCTION = """Our student beside what users would pick instead. In each setting all methods have the same series,
the same split (validation before the test, both as long), the same origins, the same covariates, two threads, and
{budget:g} s of tuning that sees validation only; then each is refitted on all days before the test and scored once on
it, by one judge (`nas.data.scorecard`). Closed days are forecast 0 by all. Seeds share what the first of them chose.

How costs are taken. *Size*: what is deployed; of LightGBM the smallest model within 1 % of its best on validation,
whose latency and sweep count too. *One series*: the same loop on one core, from a series' arrays in memory to its
forecast; for us the window is cut and the graph does the rest, for LightGBM numpy makes the features and its C API's
fastest call scores each day; neuralforecast is called by its own `predict`. *Sweep*: a fresh process that imports,
loads, reads the store network's tables as CSV (each the days that it needs), forecasts all series and writes them; the
median of three. *Training MB* is the peak of the whole cell. The plain LSTMs are `{plain}` in other sizes, with an
embedding of ids. neuralforecast's covariates are the same, ids one-hot where they group series (it has no embeddings).
AutoETS knows no covariates; on many series it forecasts a sample. Of several seeds a cost is the least: what else runs
on a shared computer only adds to it.
"""


def write_all(work: Path, budget: float, series: int | None) -> None:
    """Write accuracy.json and accuracy.md from the cells that are there; a trial run's lie in its own folder."""
    figures: list[Figure] = []
    parts = [INTRODUCTION.format(budget=budget, plain=PLAIN)]
    trial = series is not None
    folder = work if trial else FOLDER
    for name in settings.names(""):
        if not (work / name / "panel.npz").exists():
            continue
        setting = settings.prepared(name, work, series)
        found = table.rows(setting, budget)
        if not found:
            continue
        figures += _figures(name, found)
        if name.startswith("journey"):
            figures += _floor(setting)
        parts.append(_part(name, setting, found, budget, folder))
    introduction = "\n\n".join(parts)
    if trial:
        (work / "accuracy.md").write_text("\n".join([introduction, *map(str, figures)]) + "\n")
        print(introduction, *figures, sep="\n")
    else:
        write("accuracy", introduction, figures)


def _part(name: str, setting: settings.Setting, found: dict[str, Row], budget: float, folder: Path) -> str:
    """One setting: its table, slices, pictures, and what is missing."""
    origins = [str(setting.panel.date(o)) for o in setting.split.test_origins]
    head = (
        f"## {name}\n\n{len(setting.panel.ids)} series, horizon {setting.split.horizon} days, "
        f"{len(origins)} test origins from {origins[0]} to {origins[-1]}."
    )
    pictures.scatter(found, folder / f"accuracy-{name}.png")
    shown = [head, table.markdown(found), f"![Accuracy and cost](accuracy-{name}.png)"]
    if pictures.curves(found, folder / f"accuracy-{name}-curves.png"):
        shown.append(f"![Learning curves](accuracy-{name}-curves.png)")
    if text := table.slices(found):
        shown.append(f"WAPE by slice, first seed:\n\n{text}")
    if (search := table.search(found)) is not None:
        (folder / f"accuracy-{name}-search.json").write_bytes(settings.as_json(search))
        shown.append(
            f"Our search, on validation only: {search['stages']} in {search['seconds']:.0f} s; its request and trials "
            f"are in `accuracy-{name}-search.json`. Chosen: {search['architecture']}."
        )
    notes = [f"* {row.title}: {row.results[0]['notes']}." for row in found.values() if row.results[0]["notes"]]
    notes += [
        f"* {row.title}, {form}: WAPE {row.mean('forms', form, 'wape'):.4f}."
        for row in found.values()
        for form in row.results[0]["forms"]
    ]
    shown.append("\n".join(notes))
    if lacking := table.missing(setting, budget):
        shown.append(f"Not run: {', '.join(lacking)}.")
    return "\n\n".join(shown)


def _figures(name: str, found: dict[str, Row]) -> list[Figure]:
    """Ours beside each rival: accuracy with its paired interval, then costs against LightGBM and the plain LSTMs."""
    ours = found.get("ours")
    if ours is None:
        return []
    barred = name in BARRED
    figures = [Figure(f"{name}: our WAPE", ours.wape, "", note=_seeds(ours))]
    for rival in (row for row in found.values() if row is not ours):
        by, low, high = difference(ours, rival)
        bar = barred and rival.method in ("gbm", "autolstm", "plain_best")
        margin = rival.method == "day_of_week_mean" and name.startswith("journey")
        figures.append(
            Figure(
                f"{name}: our WAPE minus that of {rival.title}",
                by,
                "",
                "interval below 0" if margin else "<= 0" if bar else None,
                high < 0 if margin else by <= 0 if bar else None,
                f"95 % {low:+.4f} to {high:+.4f} over series; theirs {_seeds(rival)}",
            )
        )
    if (gbm := found.get("gbm")) is not None:
        figures += [
            _ratio(name, "size", ours, gbm, SMALLER if barred else None, "size_kb"),
            _ratio(name, "latency of one series", ours, gbm, 1 if barred else None, "latency_ms", "p50"),
            _ratio(name, "sweep", ours, gbm, 1 if barred else None, "sweep", "seconds"),
        ]
    if (plain := found.get("plain_best")) is not None:
        ratios = [_over(ours, plain, "sweep", key) for key in ("seconds", "peak_mb")]
        note = f"sweep time {ratios[0]:.3g}, memory {ratios[1]:.3g} of theirs"
        least = min(ratios)
        bar = f"<= {LIGHTER:.3g}" if barred else None
        title = f"{name}: sweep time or memory over the best plain LSTM's"
        figures.append(Figure(title, least, "", bar, least <= LIGHTER if barred else None, note))
    return figures


def _ratio(name: str, what: str, ours: Row, rival: Row, most: float | None, *path: str) -> Figure:
    value = _over(ours, rival, *path)
    own, theirs = ours.cost(*path), rival.cost(*path)
    return Figure(
        f"{name}: our {what} over that of {rival.title}",
        value,
        "",
        None if most is None else f"<= {most:g}",
        None if most is None else value <= most,
        f"{own:.4g} beside {theirs:.4g}",
    )


def _over(first: Row, second: Row, *path: str) -> float:
    above, below = first.cost(*path), second.cost(*path)
    assert above is not None
    assert below is not None
    return above / below


def _seeds(row: Row) -> str:
    return " ".join(f"{wape:.4f}" for wape in row.wapes) + (" by seed" if len(row.wapes) > 1 else "")


def _floor(setting: settings.Setting) -> list[Figure]:
    """How accurate any forecast could be on these weeks."""
    found = noise.floor(setting.panel, setting.split.test_origins[0])
    notes = {
        "poisson_wape": "were the counts Poisson about the oracle's rate: no method can be better",
        "dispersed_wape": f"with the counts' own dispersion of {found['dispersion']:.2g} (variance over mean)",
        "oracle_wape": "an oracle that smooths over 14 days to each side, those after the origin included",
    }
    return [Figure(f"{setting.name}: noise floor, {name}", found[name], "", note=note) for name, note in notes.items()]
