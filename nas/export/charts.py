"""Small charts as inline SVG: no scripts, no other files; colours are those of the page around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from nas.data.drawings import Drawing

Values = Sequence[float | None]
WIDTH, HEIGHT = 860, 220
SMALL = 420
"""Width of the drawings, which stand beside each other."""
LEFT, RIGHT, HEAD, FOOT = 46, 8, 12, 26
ROW_WIDTH, ROW_HEIGHT = 180, 14
STYLES = ("model", "rival", "rival second")
"""Classes of the lines of a chart, in the order in which they are given."""


def lines(series: Mapping[str, Values], label: str, unit: str) -> Markup:
    """Lines over steps 1, 2, …, with their names beside: WAPE by step ahead."""
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return Markup()
    low, high = 0.0, max(*known, 1e-9) * 1.05
    count = max(map(len, series.values()))
    parts = [_grid(low, high), _ends("1", str(count), unit)]
    for style, (name, values) in zip(STYLES, series.items(), strict=False):
        parts.append(_line(values, range(len(values)), count, (low, high), style))
        parts.append(_legend(name, style, STYLES.index(style)))
    return _svg(parts, label)


def calibration(shares: Mapping[str, float | None]) -> Markup:
    """Which share of the sales lay at or below each quantile, beside what was asked for."""
    size, edge = 220, 30
    room = size - edge - 10

    def at(level: float, share: float) -> str:
        return f"{edge + room * level:.1f},{10 + room * (1 - share):.1f}"

    dots = [(float(level), share) for level, share in shares.items() if share is not None]
    marks = [f'<circle class="dot" cx="{x}" cy="{y}" r="4"/>' for x, y in (at(*dot).split(",") for dot in dots)]
    names = [
        f'<text class="tick" x="{edge + room * level:.1f}" y="{size - 12}" text-anchor="middle">{level:g}</text>'
        for level, _ in dots
    ]
    label = "; ".join(f"{share:.3f} of the sales at or below quantile {level:g}" for level, share in dots)
    frame = f'<rect class="frame" x="{edge}" y="10" width="{room}" height="{room}"/>'
    diagonal = f'<polyline class="ideal" points="{at(0, 0)} {at(1, 1)}"/>'
    path = f'<polyline class="model" points="{" ".join(at(*dot) for dot in dots)}"/>'
    sides = f'<text class="tick" x="{edge - 4}" y="18" text-anchor="end">1</text>'
    sides += f'<text class="tick" x="{edge - 4}" y="{10 + room}" text-anchor="end">0</text>'
    return _markup(f'<svg class="square" viewBox="0 0 {size} {size}" role="img" aria-label="{label}">') + _markup(
        "".join([frame, diagonal, path, *marks, *names, sides, "</svg>"])
    )


def drawing(shown: Drawing) -> Markup:
    """One series: history and what came in one colour, the forecast in another, its quantiles as a band."""
    sold = (*shown.past, *shown.target)
    begin, count = len(shown.past), len(sold)
    high = max([value for value in (*sold, *shown.forecast, *shown.high) if value is not None] + [1e-9]) * 1.05
    scale = 0.0, high
    ahead = range(begin, count)
    parts = [_grid(*scale, SMALL), _ends(shown.first, "", "", SMALL)]
    x = _x(begin - 0.5, count, SMALL)
    parts.append(f'<line class="origin" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{HEIGHT - FOOT}"/>')
    if shown.low:
        there = [f"{_x(i, count, SMALL):.1f},{_y(v, scale):.1f}" for i, v in zip(ahead, shown.high, strict=True)]
        back = [f"{_x(i, count, SMALL):.1f},{_y(v, scale):.1f}" for i, v in zip(ahead, shown.low, strict=True)]
        parts.append(f'<polygon class="band" points="{" ".join(there + back[::-1])}"/>')
    parts.append(_line(sold, range(count), count, scale, "sold", SMALL))
    parts.append(_line(shown.forecast, ahead, count, scale, "model", SMALL))
    return _svg(parts, f"Sales and forecast of {shown.series}", SMALL)


def bar(value: float | None, bounds: Values | None, rival: float | None, most: float) -> Markup:
    """A value as a bar as long as ``value / most``, with its interval as a whisker and a rival as a tick."""
    if value is None:
        return Markup()
    middle, room = ROW_HEIGHT / 2, ROW_WIDTH - 4
    parts = [f'<rect class="bar" y="2" height="{ROW_HEIGHT - 4}" width="{room * min(value / most, 1):.1f}"/>']
    if bounds and bounds[0] is not None and bounds[1] is not None:
        low, high = (room * min(bound / most, 1) for bound in (bounds[0], bounds[1]))
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
    if rival is not None:
        x = room * min(rival / most, 1)
        parts.append(f'<line class="tickmark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{ROW_HEIGHT}"/>')
    head = f'<svg class="row" viewBox="0 0 {ROW_WIDTH} {ROW_HEIGHT}" aria-hidden="true">'
    return _markup(head + "".join(parts) + "</svg>")


def _grid(low: float, high: float, width: int = WIDTH) -> str:
    parts = []
    for share in (0, 0.5, 1):
        value, y = low + share * (high - low), _y(low + share * (high - low), (low, high))
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    return "".join(parts)


def _ends(first: str, last: str, unit: str, width: int = WIDTH) -> str:
    y = HEIGHT - FOOT + 16
    return (
        f'<text class="tick" x="{LEFT}" y="{y}">{first}</text>'
        f'<text class="tick" x="{(LEFT + width) / 2}" y="{y}" text-anchor="middle">{unit}</text>'
        f'<text class="tick" x="{width - RIGHT}" y="{y}" text-anchor="end">{last}</text>'
    )


def _legend(name: str, style: str, row: int) -> str:
    x = LEFT + 8 + 190 * row
    swatch = f'<line class="{style}" x1="{x}" x2="{x + 22}" y1="{HEAD - 4}" y2="{HEAD - 4}"/>'
    return f'{swatch}<text x="{x + 28}" y="{HEAD}">{escape(name)}</text>'


def _line(
    values: Values, places: Sequence[int], count: int, scale: tuple[float, float], style: str, width: int = WIDTH
) -> str:
    """A line that is broken where a value is not known; one alone becomes a dot."""
    points = [
        None if value is None else (_x(place, count, width), _y(value, scale))
        for place, value in zip(places, values, strict=True)
    ]
    runs: list[list[tuple[float, float]]] = [[]]
    for found in points:
        if found is not None:
            runs[-1].append(found)
        elif runs[-1]:
            runs.append([])
    parts = []
    for run in runs:
        if len(run) == 1:
            parts.append(f'<circle class="dot {style}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="2"/>')
        elif any(pairwise(run)):
            parts.append(f'<polyline class="{style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in run)}"/>')
    return "".join(parts)


def _x(place: float, count: int, width: int) -> float:
    return LEFT + (width - LEFT - RIGHT) * place / max(count - 1, 1)


def _y(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return HEIGHT - FOOT - (HEIGHT - FOOT - HEAD - 8) * (value - low) / (high - low)


def _svg(parts: Sequence[str], label: str, width: int = WIDTH) -> Markup:
    head = f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    return _markup(head + "".join(parts) + "</svg>")


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _markup(text: str) -> Markup:
    """Texts within were escaped, everything else is ours."""
    return Markup(text)  # noqa: S704 as said above
