"""The front as a table, drawn in the terminal, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from nas.architecture import Architecture
from nas.cli.show import Json, columns, console, line, rows
from nas.errors import MissingExtra, RequestError

BEST, FEASIBLE, AWAY = "#d1495b", "#8a97a5", "#c9a227"


def front_table(front: Json, limits: Mapping[str, float], title: str) -> None:
    """The front by its first objective; the recommended trial is marked."""
    names = columns(front["objectives"], limits)
    lines = [
        [
            f"{point['number']}{' *' if point['number'] == front['recommended'] else ''}",
            *(point["values"].get(name) for name in names),
            Architecture.from_dict(point["architecture"]),
        ]
        for point in front["points"]
    ]
    rows(title, ["trial", *names, "architecture"], lines)
    line("* recommended: nearest to the best of everything" if lines else "No trial is on the front yet.")


def front_plot(front: Json, trials: Sequence[Json]) -> None:
    """Draw the first two objectives in the terminal: feasible trials, and the front among them."""
    import plotext  # noqa: PLC0415 only drawing needs it

    if len(front["objectives"]) < 2 or not front["points"]:
        return
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(min(console.width, 90), 22)
    plotext.scatter(*_coordinates(front, _feasible(trials)), marker="·", label="feasible")
    plotext.scatter(*_coordinates(front, _points(front)), marker="●", label="Pareto front")
    first, second = front["objectives"][:2]
    plotext.xlabel(second)
    plotext.ylabel(first)
    console.print(Text.from_ansi(plotext.build()))


def front_picture(front: Json, trials: Sequence[Json], limits: Mapping[str, float], path: Path) -> None:
    """Draw the first two objectives as a PNG, a third as colour: turned away, feasible, and the front.

    Raises:
        MissingExtra: matplotlib is not installed.
        RequestError: The front has fewer than two objectives, or the file cannot be written.
    """
    if len(front["objectives"]) < 2:
        raise RequestError("A picture needs two objectives, and this search has one; look at `nas front` without it.")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 a heavy extra
    except ImportError:
        raise MissingExtra("A picture needs matplotlib; install it with `pip install 'edge-nas[demo]'`.") from None
    first, second = front["objectives"][:2]
    drawn = Figure(figsize=(7, 4.2), dpi=130, layout="constrained")
    axes = drawn.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.scatter(*_coordinates(front, _feasible(trials)), color=FEASIBLE, s=26, label="feasible")
    _draw_front(axes, front)
    _draw_turned_away(axes, [t["values"].get(second) for t in trials if t["stage"] == "turned_away"])
    if second in limits:
        axes.axvline(limits[second], color=AWAY, linestyle=":", linewidth=1.2, label=f"limit {limits[second]:g}")
    axes.set_xlabel(f"{second}, measured on the device")
    axes.set_ylabel(f"{first}, validation weeks")
    axes.legend(frameon=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"Cannot write the picture {path}: {error}; choose another file, such as front.png."
        ) from None


def _draw_front(axes: Any, front: Json) -> None:
    """Two objectives make a line of steps; with a third the line would lie, so that one becomes the colour."""
    points = _points(front)
    best = _coordinates(front, points)
    if len(front["objectives"]) == 2:
        axes.step(*best, where="post", color=BEST, linewidth=1)
        axes.scatter(*best, color=BEST, zorder=3, label="Pareto front")
        return
    third = front["objectives"][2]
    colours = [values[third] for values in points]
    drawn = axes.scatter(*best, c=colours, cmap="viridis", edgecolor=BEST, s=52, zorder=3, label="Pareto front")
    axes.figure.colorbar(drawn, ax=axes, label=third)


def _draw_turned_away(axes: Any, costs: Sequence[float | None]) -> None:
    """Their accuracy was never found out, so they stand in a row above the others."""
    known = [cost for cost in costs if cost is not None]
    if known:
        low, high = axes.get_ylim()
        above = high + 0.06 * (high - low)
        axes.scatter(known, [above] * len(known), marker="x", color=AWAY, s=26, label="turned away, never trained")
        axes.set_xscale("log")


def _feasible(trials: Sequence[Json]) -> list[Json]:
    return [trial["values"] for trial in trials if trial["feasible"]]


def _points(front: Json) -> list[Json]:
    """By rising cost, so that a line may join them."""
    second = front["objectives"][1]
    return sorted((point["values"] for point in front["points"]), key=lambda values: values[second])


def _coordinates(front: Json, values: Sequence[Json]) -> tuple[list[float], list[float]]:
    first, second = front["objectives"][:2]
    return [v[second] for v in values], [v[first] for v in values]
