"""The report of a student: its scorecards as one page to read, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from nas import __version__
from nas.data.drawings import Drawing
from nas.data.intervals import Interval
from nas.data.scorecard import Scorecard
from nas.data.shift import LARGE, NOTABLE, Shift
from nas.export import charts
from nas.frequency import Frequency

PAGE, FIGURES = "report.html", "report.json"
OPEN_UP_TO = 12
"""Slicings with more slices than this are folded until they are asked for."""
_TITLES = {
    "cold_start": "days of history",
    "horizon": "steps ahead",
    "volume": "tenth of the series by volume, 10 the largest",
    "season": "month",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """What else one could deploy, on the test part.

    Attributes:
        name: What it is called.
        figures: Metrics by name; those that are missing are shown as a dash.
        pair: How the student's WAPE compares with its; None where that was never found out.
    """

    name: str
    figures: Mapping[str, float | None]
    pair: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report tells.

    Attributes:
        title: Of the student.
        about: What it is, in a sentence.
        clock: What one step is.
        validation: What it was chosen by.
        test: What nobody had looked at before.
        rivals: The student's neighbours, baselines among them.
        shift: Validation against test.
        drawings: Some series at the newest origin of the test.
    """

    title: str
    about: str
    clock: Frequency
    validation: Scorecard
    test: Scorecard
    rivals: tuple[Rival, ...]
    shift: Shift
    drawings: tuple[Drawing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "title": self.title,
            "about": self.about,
            "frequency": self.clock.name,
            "made_by": f"edge-nas {__version__}",
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "rivals": [
                {"name": rival.name, "figures": dict(rival.figures), "pair": rival.pair and dict(rival.pair)}
                for rival in self.rivals
            ],
            "shift": self.shift.to_dict(),
            "drawings": [drawing.to_dict() for drawing in self.drawings],
        }


def report_files(report: Report) -> dict[str, bytes]:
    """The page and the figures by file name, as they lie in a package."""
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {PAGE: page(report), FIGURES: text.encode()}


def page(report: Report) -> bytes:
    """One HTML page that needs nothing else."""
    return _template().render(**_context(report)).encode()


def rivals_of(test: Scorecard, clock: Frequency) -> tuple[Rival, ...]:
    """The baselines of a scorecard."""
    names = baseline_names(clock)
    return tuple(Rival(name=names[key], figures=test.baselines[key], pair=test.against[key]) for key in test.baselines)


def baseline_names(clock: Frequency) -> dict[str, str]:
    """What the baselines are called."""
    mean = {"hourly": "hour-of-week mean", "daily": "day-of-week mean", "weekly": "mean of eight weeks"}
    return {"day_of_week_mean": mean[clock.name], "seasonal_naive": "seasonal naive"}


def against(pair: Interval | Mapping[str, Any] | None) -> str:
    """How much lower or higher the WAPE is than a rival's, in percent with its 95 % interval."""
    found = pair.to_dict() if isinstance(pair, Interval) else pair
    if not found or found["ratio"] is None:
        return "–"
    text = f"{100 * (found['ratio'] - 1):+.1f} %"
    if found["ratio_low"] is None or found["ratio_high"] is None:
        return f"{text} (too few series for an interval)"
    return f"{text} ({100 * (found['ratio_low'] - 1):+.1f} to {100 * (found['ratio_high'] - 1):+.1f})"


def _context(report: Report) -> dict[str, Any]:
    test = report.test
    named = {"model": "this student", **baseline_names(report.clock)}
    return {
        "report": report,
        "metrics": [name for name in test.overall if test.overall[name] is not None and name != "coverage_error"],
        "steps": charts.lines(
            {named[name]: values for name, values in test.steps.items()},
            "WAPE by step ahead",
            f"{report.clock.unit}s ahead",
        ),
        "calibration": charts.calibration(test.calibration) if test.calibration else Markup(),
        "slicings": [_slicing(name, rows) for name, rows in test.slices.items()],
        "baseline": baseline_names(report.clock)["day_of_week_mean"],
        "drawings": [(drawing, charts.drawing(drawing)) for drawing in report.drawings],
        "made_by": f"edge-nas {__version__}",
        "limits": (NOTABLE, LARGE),
        "open_up_to": OPEN_UP_TO,
    }


def _slicing(name: str, rows: Mapping[str, Any]) -> dict[str, Any]:
    judged = {value: row for value, row in rows.items() if isinstance(row, Mapping) and row["n"]}
    beside = [row["baselines"]["day_of_week_mean"] for row in judged.values()]
    most = max([row["wape"] or 0.0 for row in judged.values()] + [rival or 0.0 for rival in beside] + [1e-9])
    return {
        "name": name.removeprefix("static ").replace("_", " "),
        "title": _TITLES.get(name, ""),
        "reason": rows.get("not judgeable"),
        "rows": [
            (value, row, charts.bar(row["wape"], row["interval"], row["baselines"]["day_of_week_mean"], most * 1.02))
            for value, row in judged.items()
        ],
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"figure": _figure, "against": against, "bounds": _bounds}
    return environment.from_string(files("nas.export").joinpath("report.html").read_text("utf-8"))


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _bounds(pair: tuple[float | None, float | None] | None) -> str:
    return "–" if pair is None or None in pair else f"{pair[0]:.4g} to {pair[1]:.4g}"
