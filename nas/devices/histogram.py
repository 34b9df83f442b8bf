"""A histogram of latencies as inline SVG, with percentiles and their intervals marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nas.devices.measurement import Percentile

WIDTH, HEIGHT, FOOT, HEAD = 720, 190, 34, 26
BINS = 72
SHOWN = 0.995
"""Share of the samples that is drawn; the slowest are counted beside, or they would squeeze the rest."""


def histogram(samples_ns: Sequence[int], marks: Mapping[str, Percentile | None]) -> str:
    """Return an ``<svg>`` element; nothing without samples.

    Args:
        samples_ns: Latencies in nanoseconds.
        marks: Percentiles to mark, by name.
    """
    if not samples_ns:
        return ""
    samples = np.asarray(samples_ns, np.float64) / 1e6
    known = {name: mark for name, mark in marks.items() if mark is not None}
    low = float(samples.min())
    high = max(float(np.quantile(samples, SHOWN)), *(mark.high for mark in known.values()), low * 1.001)
    low, high = low - 0.03 * (high - low), high + 0.05 * (high - low)
    counts, _ = np.histogram(samples, BINS, (low, high))
    parts = [_bars(counts.tolist()), _axis(low, high)]
    parts += [_mark(name, mark, low, high, row) for row, (name, mark) in enumerate(known.items())]
    if beyond := int((samples > high).sum()):
        parts.append(f'<text class="beyond" x="{WIDTH}" y="{HEIGHT - FOOT - 6}">{beyond} slower →</text>')
    label = f"Histogram of {len(samples)} latencies from {samples.min():.4g} to {samples.max():.4g} ms"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _bars(counts: Sequence[int]) -> str:
    step, room, most = WIDTH / BINS, HEIGHT - FOOT - HEAD, max(*counts, 1)
    return "".join(
        f'<rect class="bar" x="{i * step:.1f}" y="{HEIGHT - FOOT - room * n / most:.1f}" '
        f'width="{step - 1:.1f}" height="{room * n / most:.1f}"/>'
        for i, n in enumerate(counts)
        if n
    )


def _mark(name: str, mark: Percentile, low: float, high: float, row: int) -> str:
    """A line at the percentile, a band over its interval, and its name above."""
    left, middle, right = (WIDTH * (value - low) / (high - low) for value in (mark.low, mark.ms, mark.high))
    top, bottom = HEAD - 4, HEIGHT - FOOT
    beside, anchor = (middle + 4, "start") if middle < 0.8 * WIDTH else (middle - 4, "end")
    return (
        f'<rect class="band" x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}" height="{bottom - top}"/>'
        f'<line class="mark" x1="{middle:.1f}" x2="{middle:.1f}" y1="{top}" y2="{bottom}"/>'
        f'<text class="name" x="{beside:.1f}" y="{10 + 11 * (row % 2)}" text-anchor="{anchor}">'
        f"{name} {mark.ms:.4g} ms</text>"
    )


def _axis(low: float, high: float) -> str:
    bottom = HEIGHT - FOOT
    texts = [
        f'<text class="tick" x="{WIDTH * share:.0f}" y="{bottom + 15}" '
        f'text-anchor="{anchor}">{low + share * (high - low):.4g}</text>'
        for share, anchor in ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end"))
    ]
    line = f'<line class="axis" x1="0" x2="{WIDTH}" y1="{bottom}" y2="{bottom}"/>'
    unit = (
        f'<text class="tick" x="{WIDTH / 2}" y="{bottom + 29}" text-anchor="middle">milliseconds per inference</text>'
    )
    return line + "".join(texts) + unit
