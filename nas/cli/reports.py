"""``nas report``: how accurate a student is, as a page to read, a table here, or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import show
from nas.cli.searches import AsJson, service
from nas.errors import RequestError

_SHOWN = ("wape", "bias", "mae", "mase", "pinball", "coverage")


def report(
    student: Annotated[int, typer.Argument(help="Number of the student.")],
    out: Annotated[Path | None, typer.Option(help="File for the page; default: student-N.html here.")] = None,
    json: AsJson = False,
) -> None:
    """Show how accurate a student is, and write its report."""
    with service() as client:
        figures = client.report(student)
        page = client.report_page(student)
    if json:
        show.as_json(figures)
        if out is None:
            return
    path = out or Path(f"student-{student}.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page)
    except OSError as error:
        raise RequestError(f"Cannot write {path}: {error.strerror}; choose another file with --out.") from None
    if not json:
        _table(figures)
        show.line(f"report of student {student}: {path}")


def _table(figures: show.Json) -> None:
    test = figures["test"]
    names = [name for name in _SHOWN if test["overall"].get(name) is not None]
    own = ["this student", *(test["overall"][name] for name in names), _bounds(test["interval"])]
    lines = [
        [rival["name"], *(rival["figures"].get(name) for name in names), _against(rival["pair"])]
        for rival in figures["rivals"]
    ]
    show.rows("Test part", ["", *names, "95 % / against it"], [own, *lines])
    for warning in figures["shift"]["warnings"]:
        show.line(f"! {warning}")


def _bounds(interval: list[float | None] | None) -> str | None:
    return None if interval is None or None in interval else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _against(pair: dict[str, Any] | None) -> str | None:
    if pair is None or pair["ratio"] is None:
        return None
    if pair["ratio_low"] is None or pair["ratio_high"] is None:
        return f"{100 * (pair['ratio'] - 1):+.1f} %"
    low, high = (100 * (pair[name] - 1) for name in ("ratio_low", "ratio_high"))
    return f"{100 * (pair['ratio'] - 1):+.1f} % ({low:+.1f} to {high:+.1f})"
